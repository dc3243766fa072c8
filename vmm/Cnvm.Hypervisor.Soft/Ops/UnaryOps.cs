using System.Numerics;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>A one-operand integer operation.</summary>
internal unsafe interface IUnary
{
    static abstract T Compute<T>(T a)
        where T : unmanaged, IBinaryInteger<T>;

    static abstract void Flags<T>(Cpu* c, T a, T r)
        where T : unmanaged, IBinaryInteger<T>;
}

internal readonly unsafe struct IncOp : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(T a)
        where T : unmanaged, IBinaryInteger<T> => a + T.One;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T r)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong w = StatusFlags.Widen(r);
        ulong carry = StatusFlags.Carry(c) ? Rflags.CF : 0;
        StatusFlags.SetMixed(c, r, carry | ((w & 15) == 0 ? Rflags.AF : 0) | (w == 1ul << ((sizeof(T) * 8) - 1) ? Rflags.OF : 0));
    }
}

internal readonly unsafe struct DecOp : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(T a)
        where T : unmanaged, IBinaryInteger<T> => a - T.One;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T r)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong w = StatusFlags.Widen(r);
        ulong carry = StatusFlags.Carry(c) ? Rflags.CF : 0;
        ulong overflow = w == (1ul << ((sizeof(T) * 8) - 1)) - 1 ? Rflags.OF : 0;
        StatusFlags.SetMixed(c, r, carry | ((w & 15) == 15 ? Rflags.AF : 0) | overflow);
    }
}

internal readonly unsafe struct NegOp : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(T a)
        where T : unmanaged, IBinaryInteger<T> => T.Zero - a;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetSub(c, a, r);
}

internal readonly unsafe struct NotOp : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(T a)
        where T : unmanaged, IBinaryInteger<T> => ~a;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T r)
        where T : unmanaged, IBinaryInteger<T>
    {
        // NOT leaves every flag alone.
    }
}

internal enum UnaryForm
{
    Register,
    Memory,
    Locked,
}

internal static unsafe class UnaryForms
{
    public static delegate*<Cpu*, Op*, nint> Get<TOp>(UnaryForm form, int size)
        where TOp : struct, IUnary =>
        size switch
        {
            1 => Get<TOp, byte>(form),
            2 => Get<TOp, ushort>(form),
            4 => Get<TOp, uint>(form),
            _ => Get<TOp, ulong>(form),
        };

    private static delegate*<Cpu*, Op*, nint> Get<TOp, T>(UnaryForm form)
        where TOp : struct, IUnary
        where T : unmanaged, IBinaryInteger<T>, IEquatable<T> =>
        form switch
        {
            UnaryForm.Register => &Register<TOp, T>,
            UnaryForm.Memory => &MemoryForms.Rmw<Body<TOp, T>, T>,
            _ => &MemoryForms.Locked<Body<TOp, T>, T>,
        };

    private static nint Register<TOp, T>(Cpu* c, Op* op)
        where TOp : struct, IUnary
        where T : unmanaged, IBinaryInteger<T>
    {
        T a = Operand.Dst<T>(c, op);
        T r = TOp.Compute(a);
        Operand.PutDst(c, op, r);
        TOp.Flags(c, a, r);
        return op[1].Fn(c, op + 1);
    }

    private readonly struct Body<TOp, T> : IRmw<T>
        where TOp : struct, IUnary
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Compute(Cpu* c, Op* op, T old) => TOp.Compute(old);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Commit(Cpu* c, Op* op, T old, T res) => TOp.Flags(c, old, res);
    }
}
