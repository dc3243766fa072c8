using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>How a narrow value becomes a wide one.</summary>
internal interface ISignedness
{
    static abstract ulong Extend<T>(T v)
        where T : unmanaged;
}

internal readonly unsafe struct Unsigned : ISignedness
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Extend<T>(T v)
        where T : unmanaged => StatusFlags.Widen(v);
}

internal readonly unsafe struct Signed : ISignedness
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Extend<T>(T v)
        where T : unmanaged =>
        sizeof(T) == 1 ? (ulong)(sbyte)Unsafe.BitCast<T, byte>(v)
        : sizeof(T) == 2 ? (ulong)(short)Unsafe.BitCast<T, ushort>(v)
        : sizeof(T) == 4 ? (ulong)(int)Unsafe.BitCast<T, uint>(v)
        : Unsafe.BitCast<T, ulong>(v);
}
