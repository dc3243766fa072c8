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

    /// <summary>Like <see cref="Apply"/>, for functions that take MXCSR and tell what exceptions they met.</summary>
    public static nint ApplyFloat(Cpu* c, Op* op)
    {
        Vector128<byte>* t = VexOps.Result(c);
        *t = *D(c, op);
        uint raised = ((delegate*<Vector128<byte>*, Vector128<byte>*, int, uint, uint>)op->Imm)(t, S(c, op), op->Disp, c->Mxcsr);
        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        *D(c, op) = *t;
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

    /// <summary>Loads two lanes.</summary>
    internal readonly struct LoadWide : ILoad<TwoLanes>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, TwoLanes v) => *(TwoLanes*)((byte*)c + op->Dst) = v;
    }

    internal readonly struct LoadWideAligned : ILoad<TwoLanes>
    {
        public static ulong AlignmentMask => 31;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply(Cpu* c, Op* op, TwoLanes v) => *(TwoLanes*)((byte*)c + op->Dst) = v;
    }

    internal readonly struct StoreWide : IStore<TwoLanes>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TwoLanes Value(Cpu* c, Op* op) => *(TwoLanes*)((byte*)c + op->Src);
    }

    internal readonly struct StoreWideAligned : IStore<TwoLanes>
    {
        public static ulong AlignmentMask => 31;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TwoLanes Value(Cpu* c, Op* op) => *(TwoLanes*)((byte*)c + op->Src);
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

    /// <summary>(U)COMISS (Disp 4) and (U)COMISD (8); Imm 1: quiet NaNs are invalid.</summary>
    public static nint Compare(Cpu* c, Op* op)
    {
        bool single = op->Disp == 4;
        double a = single ? *(float*)D(c, op) : *(double*)D(c, op);
        double b = single ? *(float*)S(c, op) : *(double*)S(c, op);
        bool plain = single
            ? FloatElements.IsZeroOrNormal(*(float*)D(c, op)) && FloatElements.IsZeroOrNormal(*(float*)S(c, op))
            : FloatElements.IsZeroOrNormal(a) && FloatElements.IsZeroOrNormal(b);
        if (!plain)
        {
            return CompareSlow(c, op);
        }

        StatusFlags.Set(c, a > b ? 0 : a < b ? Rflags.CF : Rflags.ZF);
        return op[1].Fn(c, op + 1);
    }

    private static nint CompareSlow(Cpu* c, Op* op)
    {
        if (!TryCompare(c, op, out int order))
        {
            return Operand.Fault(c, op);
        }

        StatusFlags.Set(c, order switch { 1 => 0, -1 => Rflags.CF, 0 => Rflags.ZF, _ => Rflags.ZF | Rflags.PF | Rflags.CF });
        return op[1].Fn(c, op + 1);
    }

    private static bool TryCompare(Cpu* c, Op* op, out int order)
    {
        SoftFloat m = new(c->Mxcsr);
        order = op->Disp == 4
            ? m.Compare(FloatFormat.Single, *(uint*)D(c, op), *(uint*)S(c, op), op->Imm == 1)
            : m.Compare(FloatFormat.Double, *(ulong*)D(c, op), *(ulong*)S(c, op), op->Imm == 1);
        return m.Flags == 0 || FloatExceptions.Accept(c, m.Flags);
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

    /// <summary>
    /// Integer in Src (Scale bytes, signed) to a scalar of Disp bytes; the rest is register Index's. Base 2: a VEX form, which clears
    /// the upper lane.
    /// </summary>
    public static nint FromInteger(Cpu* c, Op* op)
    {
        long v = op->Scale == 4 ? Operand.Src<int>(c, op) : Operand.Src<long>(c, op);
        ulong bits = IntegerToFloat(c, op, v, out uint raised);
        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        Vector128<byte>* d = D(c, op);
        *d = *VexOps.Register(c, op->Index);
        if (op->Disp == 4)
        {
            *(uint*)d = (uint)bits;
        }
        else
        {
            *(ulong*)d = bits;
        }

        if (op->Base == 2)
        {
            d[1] = default;
        }

        return op[1].Fn(c, op + 1);
    }

    private static ulong IntegerToFloat(Cpu* c, Op* op, long v, out uint raised)
    {
        if (op->Disp == 8 && v is > -(1L << 53) and < 1L << 53)
        {
            raised = 0;
            return BitConverter.DoubleToUInt64Bits(v);
        }

        SoftFloat m = new(c->Mxcsr);
        ulong bits = m.FromInteger(op->Disp == 4 ? FloatFormat.Single : FloatFormat.Double, v);
        raised = m.Flags;
        return bits;
    }

    /// <summary>Scalar of Disp bytes to an integer of Scale bytes; Imm 1: truncated, else by MXCSR's rounding.</summary>
    public static nint ToInteger(Cpu* c, Op* op)
    {
        long v = FloatToInteger(c, op, out uint raised);
        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        *(ulong*)((byte*)c + op->Dst) = op->Scale == 4 ? (uint)v : (ulong)v;
        return op[1].Fn(c, op + 1);
    }

    private static long FloatToInteger(Cpu* c, Op* op, out uint raised)
    {
        double v = op->Disp == 4 ? *(float*)S(c, op) : *(double*)S(c, op);
        if (op->Imm == 1 && v is > -2147483648.0 and < 2147483648.0 && (v == (int)v || (c->Mxcsr & SoftFloat.Inexact) != 0)
            && FloatElements.IsPlainControl(c->Mxcsr))
        {
            raised = 0;
            return (int)v;
        }

        SoftFloat m = new(c->Mxcsr);
        long r = op->Disp == 4
            ? m.ToInteger(FloatFormat.Single, *(uint*)S(c, op), op->Scale * 8, op->Imm == 1)
            : m.ToInteger(FloatFormat.Double, *(ulong*)S(c, op), op->Scale * 8, op->Imm == 1);
        raised = m.Flags;
        return r;
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
