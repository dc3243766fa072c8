using System.Numerics;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>A two-operand integer operation: a result, and the flags that go with it.</summary>
internal unsafe interface IAlu
{
    /// <summary>CMP and TEST keep only the flags.</summary>
    static abstract bool Writes { get; }

    static abstract T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T>;

    static abstract void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T>;
}

internal readonly unsafe struct AddOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetAdd(c, b, r);
}

internal readonly unsafe struct SubOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetSub(c, b, r);
}

internal readonly unsafe struct CmpOp : IAlu
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetSub(c, b, r);
}

internal readonly unsafe struct AndOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a & b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetMixed(c, r, 0);
}

internal readonly unsafe struct TestOp : IAlu
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a & b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetMixed(c, r, 0);
}

internal readonly unsafe struct OrOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a | b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetMixed(c, r, 0);
}

internal readonly unsafe struct XorOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => a ^ b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.SetMixed(c, r, 0);
}

internal readonly unsafe struct AdcOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.Carry(c) ? a + b + T.One : a + b;

    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T>
    {
        int top = (sizeof(T) * 8) - 1;
        ulong wa = StatusFlags.Widen(a);
        ulong wb = StatusFlags.Widen(b);
        ulong wr = StatusFlags.Widen(r);
        ulong carries = (wa & wb) | ((wa | wb) & ~wr);
        ulong flags = ((carries >> top) & 1) | ((wa ^ wb ^ wr) & Rflags.AF) | (((((wa ^ wr) & (wb ^ wr)) >> top) & 1) << 11);
        StatusFlags.SetMixed(c, r, flags);
    }
}

internal readonly unsafe struct SbbOp : IAlu
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Compute<T>(Cpu* c, T a, T b)
        where T : unmanaged, IBinaryInteger<T> => StatusFlags.Carry(c) ? a - b - T.One : a - b;

    public static void Flags<T>(Cpu* c, T a, T b, T r)
        where T : unmanaged, IBinaryInteger<T>
    {
        int top = (sizeof(T) * 8) - 1;
        ulong wa = StatusFlags.Widen(a);
        ulong wb = StatusFlags.Widen(b);
        ulong wr = StatusFlags.Widen(r);
        ulong borrows = (~wa & wb) | ((~wa | wb) & wr);
        ulong flags = ((borrows >> top) & 1) | ((wa ^ wb ^ wr) & Rflags.AF) | (((((wa ^ wb) & (wa ^ wr)) >> top) & 1) << 11);
        StatusFlags.SetMixed(c, r, flags);
    }
}
