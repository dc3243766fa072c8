using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Operations on vector registers. Register operands are offsets into <see cref="Cpu"/> like all others.</summary>
internal static unsafe class VectorOps
{
    private static Vector128<byte>* D(Cpu* c, Op* op) => (Vector128<byte>*)((byte*)c + op->Dst);

    private static Vector128<byte>* S(Cpu* c, Op* op) => (Vector128<byte>*)((byte*)c + op->Src);

    /// <summary>Calls the function in Imm with Dst, Src and the immediate in Disp.</summary>
    public static nint Apply(Cpu* c, Op* op)
    {
        ((delegate*<Vector128<byte>*, Vector128<byte>*, int, void>)op->Imm)(D(c, op), S(c, op), op->Disp);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Dst gets as many low bytes of Src as Disp says; the rest stays, or is cleared when Scale is 1.</summary>
    public static nint Copy(Cpu* c, Op* op)
    {
        byte* d = (byte*)c + op->Dst;
        byte* s = (byte*)c + op->Src;
        switch (op->Disp)
        {
            case 4:
                uint low = *(uint*)s;
                if (op->Scale == 1)
                {
                    *(Vector128<byte>*)d = default;
                }

                *(uint*)d = low;
                break;
            case 8:
                ulong half = *(ulong*)s;
                if (op->Scale == 1)
                {
                    *(Vector128<byte>*)d = default;
                }

                *(ulong*)d = half;
                break;
            default:
                *(Vector128<byte>*)d = *(Vector128<byte>*)s;
                break;
        }

        return op[1].Fn(c, op + 1);
    }

    internal readonly struct LoadAligned : ILoad<Vector128<byte>>
    {
        public static ulong AlignmentMask => 15;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, Vector128<byte> v) => *(Vector128<byte>*)((byte*)c + op->Dst) = v;
    }

    internal readonly struct LoadUnaligned : ILoad<Vector128<byte>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, Vector128<byte> v) => *(Vector128<byte>*)((byte*)c + op->Dst) = v;
    }

    /// <summary>Loads a narrow value and clears the rest of the register.</summary>
    internal readonly struct LoadScalar<T> : ILoad<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, T v) =>
            *(Vector128<byte>*)((byte*)c + op->Dst) = Vector128.CreateScalar(StatusFlags.Widen(v)).AsByte();
    }

    /// <summary>Loads 8 bytes and leaves the rest.</summary>
    internal readonly struct LoadHalf : ILoad<ulong>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, ulong v) => *(ulong*)((byte*)c + op->Dst) = v;
    }

    internal readonly struct StoreAligned : IStore<Vector128<byte>>
    {
        public static ulong AlignmentMask => 15;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Value(Cpu* c, Op* op) => *(Vector128<byte>*)((byte*)c + op->Src);
    }

    internal readonly struct StoreUnaligned : IStore<Vector128<byte>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Value(Cpu* c, Op* op) => *(Vector128<byte>*)((byte*)c + op->Src);
    }

    /// <summary>PMOVMSKB (1), MOVMSKPS (4), MOVMSKPD (8) by Disp.</summary>
    public static nint SignMask(Cpu* c, Op* op)
    {
        int mask = op->Disp switch
        {
            1 => Sse2.MoveMask(*S(c, op)),
            4 => Sse.MoveMask(S(c, op)->AsSingle()),
            _ => Sse2.MoveMask(S(c, op)->AsDouble()),
        };
        *(ulong*)((byte*)c + op->Dst) = (uint)mask;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>PINSRx: element Imm (already masked) of Disp bytes from Src.</summary>
    public static nint Insert(Cpu* c, Op* op)
    {
        byte* d = (byte*)c + op->Dst + (op->Imm * op->Disp);
        byte* s = (byte*)c + op->Src;
        switch (op->Disp)
        {
            case 1:
                *d = *s;
                break;
            case 2:
                *(ushort*)d = *(ushort*)s;
                break;
            case 4:
                *(uint*)d = *(uint*)s;
                break;
            default:
                *(ulong*)d = *(ulong*)s;
                break;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>PEXTRx, MOVD, MOVQ to a general register or temporary: element Imm of Disp bytes, zero-extended.</summary>
    public static nint Extract(Cpu* c, Op* op)
    {
        byte* s = (byte*)c + op->Src + (op->Imm * op->Disp);
        *(ulong*)((byte*)c + op->Dst) = op->Disp switch { 1 => *s, 2 => *(ushort*)s, 4 => *(uint*)s, _ => *(ulong*)s };
        return op[1].Fn(c, op + 1);
    }

    /// <summary>(U)COMISS (Disp 4) and (U)COMISD (8).</summary>
    public static nint Compare(Cpu* c, Op* op)
    {
        double a = op->Disp == 4 ? *(float*)D(c, op) : *(double*)D(c, op);
        double b = op->Disp == 4 ? *(float*)S(c, op) : *(double*)S(c, op);
        StatusFlags.Set(c, a > b ? 0 : a < b ? Rflags.CF : a == b ? Rflags.ZF : Rflags.ZF | Rflags.PF | Rflags.CF);
        return op[1].Fn(c, op + 1);
    }

    public static nint Ptest(Cpu* c, Op* op)
    {
        Vector128<byte> d = *D(c, op);
        Vector128<byte> s = *S(c, op);
        StatusFlags.Set(c, ((d & s) == default ? Rflags.ZF : 0) | (Sse2.AndNot(d, s) == default ? Rflags.CF : 0));
        return op[1].Fn(c, op + 1);
    }

    /// <summary>PBLENDVB (1), BLENDVPS (4), BLENDVPD (8): elements chosen by sign bits of XMM0.</summary>
    public static nint BlendVariable(Cpu* c, Op* op)
    {
        Vector128<byte> mask = *(Vector128<byte>*)((byte*)c + Cpu.VectorOffset);
        *D(c, op) = op->Disp switch
        {
            1 => Sse41.BlendVariable(*D(c, op), *S(c, op), mask),
            4 => Sse41.BlendVariable(D(c, op)->AsSingle(), S(c, op)->AsSingle(), mask.AsSingle()).AsByte(),
            _ => Sse41.BlendVariable(D(c, op)->AsDouble(), S(c, op)->AsDouble(), mask.AsDouble()).AsByte(),
        };
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Integer in Src (Scale bytes, signed) to a scalar of Disp bytes.</summary>
    public static nint FromInteger(Cpu* c, Op* op)
    {
        long v = op->Scale == 4 ? Operand.Src<int>(c, op) : Operand.Src<long>(c, op);
        if (op->Disp == 4)
        {
            *(float*)D(c, op) = v;
        }
        else
        {
            *(double*)D(c, op) = v;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Scalar of Disp bytes to an integer of Scale bytes; Imm 1: truncated, else by MXCSR's rounding.</summary>
    public static nint ToInteger(Cpu* c, Op* op)
    {
        double v = op->Disp == 4 ? *(float*)S(c, op) : *(double*)S(c, op);
        v = op->Imm == 1 ? Math.Truncate(v) : ((c->Mxcsr >> 13) & 3) switch
        {
            1 => Math.Floor(v),
            2 => Math.Ceiling(v),
            3 => Math.Truncate(v),
            _ => Math.Round(v, MidpointRounding.ToEven),
        };
        if (op->Scale == 4)
        {
            *(ulong*)((byte*)c + op->Dst) = v is >= int.MinValue and <= int.MaxValue ? (uint)(int)v : 0x8000_0000u;
        }
        else
        {
            *(long*)((byte*)c + op->Dst) = v is >= -9223372036854775808.0 and < 9223372036854775808.0 ? (long)v : long.MinValue;
        }

        return op[1].Fn(c, op + 1);
    }

    public static nint MoveHalf(Cpu* c, Op* op)
    {
        // Imm: 0 MOVLHPS (low to high), 1 MOVHLPS (high to low).
        ulong* d = (ulong*)D(c, op);
        ulong* s = (ulong*)S(c, op);
        if (op->Imm == 0)
        {
            d[1] = s[0];
        }
        else
        {
            d[0] = s[1];
        }

        return op[1].Fn(c, op + 1);
    }
}
