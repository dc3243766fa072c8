using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>x87 instructions on the stack top, constants, control and environment.</summary>
internal static unsafe partial class X87Ops
{
    /// <summary>Instructions without operands: the mnemonic is in Imm.</summary>
    public static nint Plain(Cpu* c, Op* op)
    {
        Float80Math math = new(c->FpuControl);
        switch ((Mnemonic)op->Imm)
        {
            case Mnemonic.Fchs:
                Set(c, 0, Get(c, 0).Negated);
                break;
            case Mnemonic.Fabs:
                Float80 v = Get(c, 0);
                Set(c, 0, v with { SignExponent = (ushort)v.Exponent });
                break;
            case Mnemonic.Fld1:
                Push(c, Float80.One);
                break;
            case Mnemonic.Fldz:
                Push(c, default);
                break;
            case Mnemonic.Fldpi:
                Push(c, new Float80(0xc90f_daa2_2168_c235, 0x4000));
                break;
            case Mnemonic.Fldl2e:
                Push(c, new Float80(0xb8aa_3b29_5c17_f0bc, 0x3fff));
                break;
            case Mnemonic.Fldl2t:
                Push(c, new Float80(0xd49a_784b_cd1b_8afe, 0x4000));
                break;
            case Mnemonic.Fldlg2:
                Push(c, new Float80(0x9a20_9a84_fbcf_f799, 0x3ffd));
                break;
            case Mnemonic.Fldln2:
                Push(c, new Float80(0xb172_17f7_d1cf_79ac, 0x3ffe));
                break;
            case Mnemonic.Fsqrt:
                Set(c, 0, math.SquareRoot(Get(c, 0)));
                break;
            case Mnemonic.Frndint:
                Set(c, 0, math.RoundToIntegral(Get(c, 0)));
                break;
            case Mnemonic.Fxam:
                Examine(c);
                break;
            case Mnemonic.Fincstp:
                c->FpuTop = (c->FpuTop + 1) & 7;
                break;
            case Mnemonic.Fdecstp:
                c->FpuTop = (c->FpuTop - 1) & 7;
                break;
            case Mnemonic.Fscale:
                Scale(c, ref math);
                break;
            case Mnemonic.Fxtract:
                Extract(c, ref math);
                break;
            case Mnemonic.Fprem or Mnemonic.Fprem1:
                Remainder(c, ref math, nearest: (Mnemonic)op->Imm == Mnemonic.Fprem1);
                break;
            default:
                Transcendental(c, ref math, (Mnemonic)op->Imm);
                break;
        }

        if ((Mnemonic)op->Imm != Mnemonic.Fxam)
        {
            Finish(c, ref math);
        }

        return op[1].Fn(c, op + 1);
    }

    private static void Examine(Cpu* c)
    {
        int p = Physical(c, 0);
        Float80 v = new(c->Fpr[p * 2], (ushort)c->Fpr[(p * 2) + 1]);
        int codes = IsEmpty(c, 0) ? C3 | C0
            : v.IsUnsupported ? 0
            : v.IsNan ? C0
            : v.IsInfinity ? C2 | C0
            : v.IsZero ? C3
            : v.IsDenormal ? C3 | C2 : C2;
        c->FpuStatus = (ushort)((c->FpuStatus & ~(C0 | C1 | C2 | C3)) | codes | (v.Sign ? C1 : 0));
    }

    private static void Scale(Cpu* c, ref Float80Math math)
    {
        Float80 a = Get(c, 0);
        Float80 b = Get(c, 1);
        if (a.IsNan || b.IsNan || a.IsInfinity || b.IsInfinity || a.IsZero || a.IsUnsupported || b.IsUnsupported)
        {
            // Infinite scales give zero or infinity, except for the opposite operand, which is invalid.
            Float80 factor = b.IsInfinity && b.Sign ? Float80.Zero(false) : b.IsInfinity ? b : Float80.One;
            Set(c, 0, b.IsNan || b.IsInfinity || b.IsUnsupported ? math.Multiply(a, b.IsInfinity ? factor : b) : math.Multiply(a, Float80.One));
            return;
        }

        Float80Math whole = new(0xf00);
        Float80 integer = whole.RoundToIntegral(b, truncate: true);
        long n = integer.Exponent > 0x3fff + 20 ? (integer.Sign ? -100_000 : 100_000) : whole.ToInteger(integer, 32, truncate: true);
        (int e, ulong s) = Float80Math.Unpack(a);
        Float80Math wide = new(c->FpuControl | 0x300);
        Float80 r = wide.Pack(a.Sign, e + (int)n, (UInt128)s << 64);
        Signal(c, wide.Flags);
        Set(c, 0, r);
    }

    private static void Extract(Cpu* c, ref Float80Math math)
    {
        Float80 a = Get(c, 0);
        if (a.IsNan || a.IsUnsupported || a.IsInfinity)
        {
            Float80 r = math.Multiply(a, Float80.One);
            Set(c, 0, a.IsInfinity ? Float80.Infinity(false) : r);
            Push(c, r);
            return;
        }

        if (a.IsZero)
        {
            Signal(c, Float80Math.ZeroDivide);
            Set(c, 0, Float80.Infinity(true));
            Push(c, a);
            return;
        }

        (int e, ulong s) = Float80Math.Unpack(a);
        Set(c, 0, Float80.FromInteger(e - 0x3fff));
        Push(c, new Float80(s, (ushort)((a.Sign ? 0x8000 : 0) | 0x3fff)));
    }

    /// <summary>FPREM and FPREM1: as much as an exponent difference of 63 at a time (SDM: between 32 and 63).</summary>
    private static void Remainder(Cpu* c, ref Float80Math math, bool nearest)
    {
        Float80 a = Get(c, 0);
        Float80 b = Get(c, 1);
        c->FpuStatus &= unchecked((ushort)~(C0 | C1 | C2 | C3));
        if (a.IsNan || b.IsNan || a.IsUnsupported || b.IsUnsupported)
        {
            Set(c, 0, math.Multiply(a, b));
            return;
        }

        if (a.IsInfinity || b.IsZero)
        {
            Signal(c, Float80Math.Invalid);
            Set(c, 0, Float80.DefaultNan);
            return;
        }

        if (b.IsInfinity || a.IsZero)
        {
            return;
        }

        (int ea, ulong sa) = Float80Math.Unpack(a);
        (int eb, ulong sb) = Float80Math.Unpack(b);
        int difference = ea - eb;
        if (difference < -1 || (!nearest && difference < 0))
        {
            return;
        }

        bool partial = difference > 63;
        int steps = partial ? 63 : Math.Max(difference, 0);
        UInt128 numerator = difference < 0 ? sa : (UInt128)sa << steps;
        UInt128 denominator = difference < 0 ? (UInt128)sb << 1 : sb;
        UInt128 quotient = numerator / denominator;
        UInt128 rest = numerator - (quotient * denominator);
        bool sign = a.Sign;
        int exponent = partial ? ea - steps : Math.Min(ea, eb);
        if (!partial && nearest && ((rest << 1) > denominator || ((rest << 1) == denominator && (quotient & 1) != 0)))
        {
            rest = denominator - rest;
            quotient++;
            sign = !sign;
        }

        Float80Math exact = new(0x300);
        Float80 r = rest == 0 ? Float80.Zero(a.Sign) : exact.Pack(sign, exponent + 64, rest);
        Set(c, 0, r);
        int bits = partial ? C2 : ((quotient & 4) != 0 ? C0 : 0) | ((quotient & 2) != 0 ? C3 : 0) | ((quotient & 1) != 0 ? C1 : 0);
        c->FpuStatus |= (ushort)bits;
    }

    private static double ToDouble(Float80 v)
    {
        Float80Math math = new(0x33f);
        return BitConverter.UInt64BitsToDouble(math.Narrow(v, 52, 11));
    }

    private static Float80 FromDouble(double v) => Float80.FromDouble(BitConverter.DoubleToUInt64Bits(v));

    /// <summary>Transcendental functions, to double precision only.</summary>
    private static void Transcendental(Cpu* c, ref Float80Math math, Mnemonic m)
    {
        double x = ToDouble(Get(c, 0));
        c->FpuStatus &= unchecked((ushort)~C2);
        switch (m)
        {
            case Mnemonic.F2xm1:
                Set(c, 0, FromDouble(Math.Abs(x) < 1e-8 ? x * 0.693147180559945309 : Math.Pow(2, x) - 1));
                break;
            case Mnemonic.Fyl2x:
                Float80 y = Get(c, 1);
                Pop(c);
                Set(c, 0, math.Multiply(y, FromDouble(Math.Log2(x))));
                break;
            case Mnemonic.Fyl2xp1:
                Float80 w = Get(c, 1);
                Pop(c);
                Set(c, 0, math.Multiply(w, FromDouble(Math.Abs(x) < 1e-8 ? x * 1.442695040888963407 : Math.Log2(1 + x))));
                break;
            case Mnemonic.Fpatan:
                double opposite = ToDouble(Get(c, 1));
                Pop(c);
                Set(c, 0, FromDouble(Math.Atan2(opposite, x)));
                break;
            case Mnemonic.Fptan:
                Set(c, 0, FromDouble(Math.Tan(x)));
                Push(c, Float80.One);
                break;
            case Mnemonic.Fsin:
                Set(c, 0, FromDouble(Math.Sin(x)));
                break;
            case Mnemonic.Fcos:
                Set(c, 0, FromDouble(Math.Cos(x)));
                break;
            default:
                Set(c, 0, FromDouble(Math.Sin(x)));
                Push(c, FromDouble(Math.Cos(x)));
                break;
        }
    }

    public static nint Init(Cpu* c, Op* op)
    {
        FpuState.InitX87(c);
        return op[1].Fn(c, op + 1);
    }

    public static nint ClearExceptions(Cpu* c, Op* op)
    {
        c->FpuStatus &= 0x7f00;
        return op[1].Fn(c, op + 1);
    }

    public static nint Emms(Cpu* c, Op* op)
    {
        c->FpuValid = 0;
        c->FpuTop = 0;
        return op[1].Fn(c, op + 1);
    }

    public static nint ReadControl(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.Temp0, c->FpuControl);
        return op[1].Fn(c, op + 1);
    }

    public static nint ReadStatus(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.Temp0, FpuState.StatusWord(c));
        return op[1].Fn(c, op + 1);
    }

    public static nint WriteControl(Cpu* c, Op* op)
    {
        c->FpuControl = (ushort)(Operand.Src<ushort>(c, op) | 0x40);
        Summarize(c);
        return op[1].Fn(c, op + 1);
    }

    public static nint Free(Cpu* c, Op* op)
    {
        c->FpuValid &= (byte)~(1 << Physical(c, op->Disp));
        if (op->Imm != 0)
        {
            c->FpuTop = (c->FpuTop + 1) & 7;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>FNSTENV (0), FLDENV (1), FNSAVE (2), FRSTOR (3) in the 32-bit protected-mode layout.</summary>
    public static nint Environment(Cpu* c, Op* op)
    {
        ulong a = Operand.Address(c, op);
        byte* area = stackalloc byte[112];
        bool store = (op->Imm & 1) == 0;
        int size = op->Imm >= 2 ? 108 : 28;
        if (store)
        {
            BuildEnvironment(c, area, size);
        }

        for (int at = 0; at < size; at += 4)
        {
            if (store)
            {
                c->Data[0] = *(uint*)(area + at);
            }

            if (!(store ? Mmu.Write(c, a + (uint)at, 4) : Mmu.Read(c, a + (uint)at, 4)))
            {
                return Operand.Fault(c, op);
            }

            if (!store)
            {
                *(uint*)(area + at) = (uint)c->Data[0];
            }
        }

        if (!store)
        {
            LoadEnvironment(c, area, size);
        }
        else if (op->Imm == 2)
        {
            FpuState.InitX87(c);
        }
        else
        {
            c->FpuControl |= 0x3f;
            Summarize(c);
        }

        return op[1].Fn(c, op + 1);
    }

    private static void BuildEnvironment(Cpu* c, byte* area, int size)
    {
        *(uint*)area = 0xffff_0000u | c->FpuControl;
        *(uint*)(area + 4) = 0xffff_0000u | FpuState.StatusWord(c);
        uint tags = 0;
        for (int p = 0; p < 8; p++)
        {
            Float80 v = new(c->Fpr[p * 2], (ushort)c->Fpr[(p * 2) + 1]);
            uint tag = (c->FpuValid & (1 << p)) == 0 ? 3u : v.IsZero ? 1u : v.Exponent is 0 or 0x7fff || v.IsUnsupported ? 2u : 0u;
            tags |= tag << (p * 2);
        }

        *(uint*)(area + 8) = 0xffff_0000u | tags;
        *(uint*)(area + 12) = (uint)c->FpuIp;
        *(uint*)(area + 16) = (uint)c->FpuOpcode << 16;
        *(uint*)(area + 20) = (uint)c->FpuDp;
        *(uint*)(area + 24) = 0xffff_0000u;
        for (int i = 0; size > 28 && i < 8; i++)
        {
            int p = Physical(c, i);
            *(ulong*)(area + 28 + (i * 10)) = c->Fpr[p * 2];
            *(ushort*)(area + 36 + (i * 10)) = (ushort)c->Fpr[(p * 2) + 1];
        }
    }

    private static void LoadEnvironment(Cpu* c, byte* area, int size)
    {
        c->FpuControl = (ushort)(*(ushort*)area | 0x40);
        FpuState.SetStatusWord(c, *(ushort*)(area + 4));
        uint tags = *(ushort*)(area + 8);
        c->FpuValid = 0;
        for (int p = 0; p < 8; p++)
        {
            c->FpuValid |= (byte)(((tags >> (p * 2)) & 3) != 3 ? 1 << p : 0);
        }

        c->FpuIp = *(uint*)(area + 12);
        c->FpuOpcode = (ushort)((*(uint*)(area + 16) >> 16) & 0x7ff);
        c->FpuDp = *(uint*)(area + 20);
        for (int i = 0; size > 28 && i < 8; i++)
        {
            int p = Physical(c, i);
            c->Fpr[p * 2] = *(ulong*)(area + 28 + (i * 10));
            c->Fpr[(p * 2) + 1] = *(ushort*)(area + 36 + (i * 10));
        }

        Summarize(c);
    }
}
