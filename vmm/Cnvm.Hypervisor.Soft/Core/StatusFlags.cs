using System.Numerics;
using System.Runtime.CompilerServices;

namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>
/// Status flags computed when somebody asks. An arithmetic operation stores its result and one operand, both shifted up so
/// that the operand's top bit is bit 63, and what kind of operation it was with the shift in the low byte.
/// </summary>
internal static unsafe class StatusFlags
{
    /// <summary>All six flags are in CcSrc at their RFLAGS places.</summary>
    public const uint Explicit = 0;

    /// <summary>CcRes = a + CcSrc.</summary>
    public const uint Add = 0x100;

    /// <summary>CcRes = a - CcSrc.</summary>
    public const uint Sub = 0x200;

    /// <summary>ZF, SF and PF from CcRes; CF, AF and OF in CcSrc at their RFLAGS places.</summary>
    public const uint Mixed = 0x300;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Widen<T>(T v)
        where T : unmanaged =>
        sizeof(T) == 1 ? Unsafe.BitCast<T, byte>(v)
        : sizeof(T) == 2 ? Unsafe.BitCast<T, ushort>(v)
        : sizeof(T) == 4 ? Unsafe.BitCast<T, uint>(v)
        : Unsafe.BitCast<T, ulong>(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Narrow<T>(ulong v)
        where T : unmanaged =>
        sizeof(T) == 1 ? Unsafe.BitCast<byte, T>((byte)v)
        : sizeof(T) == 2 ? Unsafe.BitCast<ushort, T>((ushort)v)
        : sizeof(T) == 4 ? Unsafe.BitCast<uint, T>((uint)v)
        : Unsafe.BitCast<ulong, T>(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetAdd<T>(Cpu* c, T src, T res)
        where T : unmanaged
    {
        int shift = 64 - (sizeof(T) * 8);
        c->CcRes = Widen(res) << shift;
        c->CcSrc = Widen(src) << shift;
        c->CcKind = Add | (uint)shift;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetSub<T>(Cpu* c, T src, T res)
        where T : unmanaged
    {
        int shift = 64 - (sizeof(T) * 8);
        c->CcRes = Widen(res) << shift;
        c->CcSrc = Widen(src) << shift;
        c->CcKind = Sub | (uint)shift;
    }

    /// <summary>ZF, SF and PF of a result; the others as given.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetMixed<T>(Cpu* c, T res, ulong carryAuxOverflow)
        where T : unmanaged
    {
        int shift = 64 - (sizeof(T) * 8);
        c->CcRes = Widen(res) << shift;
        c->CcSrc = carryAuxOverflow;
        c->CcKind = Mixed | (uint)shift;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(Cpu* c, ulong flags)
    {
        c->CcSrc = flags & Rflags.Status;
        c->CcKind = Explicit;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Carry(Cpu* c)
    {
        uint kind = c->CcKind >> 8;
        if (kind == 2)
        {
            return c->CcRes + c->CcSrc < c->CcSrc;
        }

        return kind == 1 ? c->CcRes < c->CcSrc : (c->CcSrc & 1) != 0;
    }

    public static bool Zero(Cpu* c) => c->CcKind == Explicit ? (c->CcSrc & Rflags.ZF) != 0 : c->CcRes == 0;

    public static bool Sign(Cpu* c) => c->CcKind == Explicit ? (c->CcSrc & Rflags.SF) != 0 : (long)c->CcRes < 0;

    public static bool Overflow(Cpu* c)
    {
        ulong res = c->CcRes;
        ulong src = c->CcSrc;
        switch (c->CcKind >> 8)
        {
            case 1:
                ulong addend = res - src;
                return (long)((addend ^ res) & (src ^ res)) < 0;
            case 2:
                ulong minuend = res + src;
                return (long)((minuend ^ src) & (minuend ^ res)) < 0;
            default:
                return (src & Rflags.OF) != 0;
        }
    }

    public static bool Parity(Cpu* c) =>
        c->CcKind == Explicit
            ? (c->CcSrc & Rflags.PF) != 0
            : (BitOperations.PopCount((byte)(c->CcRes >> (int)(c->CcKind & 0xff))) & 1) == 0;

    public static bool Adjust(Cpu* c)
    {
        ulong res = c->CcRes;
        ulong src = c->CcSrc;
        int shift = (int)(c->CcKind & 0xff);
        return (c->CcKind >> 8) switch
        {
            1 => ((((res - src) ^ src ^ res) >> shift) & 0x10) != 0,
            2 => ((((res + src) ^ src ^ res) >> shift) & 0x10) != 0,
            _ => (src & Rflags.AF) != 0,
        };
    }

    /// <summary>The six status flags at their RFLAGS places.</summary>
    public static ulong Get(Cpu* c)
    {
        if (c->CcKind == Explicit)
        {
            return c->CcSrc;
        }

        return (Carry(c) ? Rflags.CF : 0) | (Parity(c) ? Rflags.PF : 0) | (Adjust(c) ? Rflags.AF : 0)
            | (Zero(c) ? Rflags.ZF : 0) | (Sign(c) ? Rflags.SF : 0) | (Overflow(c) ? Rflags.OF : 0);
    }

    /// <summary>All of RFLAGS.</summary>
    public static ulong GetRflags(Cpu* c) => c->Flags | Rflags.Fixed | Get(c);

    /// <summary>Is a condition true? Numbers as in the low bits of Jcc opcodes.</summary>
    public static bool Condition(Cpu* c, int cc)
    {
        bool value = (cc >> 1) switch
        {
            0 => Overflow(c),
            1 => Carry(c),
            2 => Zero(c),
            3 => Carry(c) || Zero(c),
            4 => Sign(c),
            5 => Parity(c),
            6 => Sign(c) != Overflow(c),
            _ => Zero(c) || Sign(c) != Overflow(c),
        };
        return value != ((cc & 1) != 0);
    }
}
