using System.Numerics;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>Operand forms of a two-operand integer operation.</summary>
internal enum AluForm
{
    RegReg,
    RegImm,
    RegMem,
    MemReg,
    MemImm,
    LockedReg,
    LockedImm,
}

internal static unsafe class AluForms
{
    /// <summary>The operation for a form and operand size in bytes.</summary>
    public static delegate*<Cpu*, Op*, nint> Get<TOp>(AluForm form, int size)
        where TOp : struct, IAlu =>
        size switch
        {
            1 => Get<TOp, byte>(form),
            2 => Get<TOp, ushort>(form),
            4 => Get<TOp, uint>(form),
            _ => Get<TOp, ulong>(form),
        };

    private static delegate*<Cpu*, Op*, nint> Get<TOp, T>(AluForm form)
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>, IEquatable<T>
    {
        if (!TOp.Writes)
        {
            return form switch
            {
                AluForm.RegReg => &RegReg<TOp, T>,
                AluForm.RegImm => &RegImm<TOp, T>,
                AluForm.RegMem => &MemoryForms.Load<LoadToReg<TOp, T>, T>,
                AluForm.MemReg => &MemoryForms.Load<LoadWithReg<TOp, T>, T>,
                _ => &MemoryForms.Load<LoadWithImm<TOp, T>, T>,
            };
        }

        return form switch
        {
            AluForm.RegReg => &RegReg<TOp, T>,
            AluForm.RegImm => &RegImm<TOp, T>,
            AluForm.RegMem => &MemoryForms.Load<LoadToReg<TOp, T>, T>,
            AluForm.MemReg => &MemoryForms.Rmw<RmwReg<TOp, T>, T>,
            AluForm.MemImm => &MemoryForms.Rmw<RmwImm<TOp, T>, T>,
            AluForm.LockedReg => &MemoryForms.Locked<RmwReg<TOp, T>, T>,
            _ => &MemoryForms.Locked<RmwImm<TOp, T>, T>,
        };
    }

    private static nint RegReg<TOp, T>(Cpu* c, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        T a = Operand.Dst<T>(c, op);
        T b = Operand.Src<T>(c, op);
        T r = TOp.Compute(c, a, b);
        if (TOp.Writes)
        {
            Operand.PutDst(c, op, r);
        }

        TOp.Flags(c, a, b, r);
        return op[1].Fn(c, op + 1);
    }

    private static nint RegImm<TOp, T>(Cpu* c, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        T a = Operand.Dst<T>(c, op);
        T b = Operand.Imm<T>(op);
        T r = TOp.Compute(c, a, b);
        if (TOp.Writes)
        {
            Operand.PutDst(c, op, r);
        }

        TOp.Flags(c, a, b, r);
        return op[1].Fn(c, op + 1);
    }

    private readonly struct LoadToReg<TOp, T> : ILoad<T>
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, T v)
        {
            T a = Operand.Dst<T>(c, op);
            T r = TOp.Compute(c, a, v);
            if (TOp.Writes)
            {
                Operand.PutDst(c, op, r);
            }

            TOp.Flags(c, a, v, r);
        }
    }

    /// <summary>The memory operand is the first one, and nothing is written.</summary>
    private readonly struct LoadWithReg<TOp, T> : ILoad<T>
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, T v)
        {
            T b = Operand.Src<T>(c, op);
            TOp.Flags(c, v, b, TOp.Compute(c, v, b));
        }
    }

    private readonly struct LoadWithImm<TOp, T> : ILoad<T>
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, T v)
        {
            T b = Operand.Imm<T>(op);
            TOp.Flags(c, v, b, TOp.Compute(c, v, b));
        }
    }

    private readonly struct RmwReg<TOp, T> : IRmw<T>
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Compute(Cpu* c, Op* op, T old) => TOp.Compute(c, old, Operand.Src<T>(c, op));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Commit(Cpu* c, Op* op, T old, T res) => TOp.Flags(c, old, Operand.Src<T>(c, op), res);
    }

    private readonly struct RmwImm<TOp, T> : IRmw<T>
        where TOp : struct, IAlu
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Compute(Cpu* c, Op* op, T old) => TOp.Compute(c, old, Operand.Imm<T>(op));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Commit(Cpu* c, Op* op, T old, T res) => TOp.Flags(c, old, Operand.Imm<T>(op), res);
    }
}
