using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>x87 instructions on the stack top, and constants.</summary>
internal static unsafe partial class X87Ops
{
    /// <summary>Instructions without operands: the mnemonic is in Imm.</summary>
    public static nint Plain(Cpu* c, Op* op)
    {
        Mnemonic m = (Mnemonic)op->Imm;
        switch (m)
        {
            case Mnemonic.Fld1:
                PushConstant(c, Float80.One, 0);
                break;
            case Mnemonic.Fldz:
                PushConstant(c, default, 0);
                break;
            // The second number says whether the true value lies above (1) or below (-1) the one rounded to nearest.
            case Mnemonic.Fldpi:
                PushConstant(c, new Float80(0xc90f_daa2_2168_c235, 0x4000), -1);
                break;
            case Mnemonic.Fldl2e:
                PushConstant(c, new Float80(0xb8aa_3b29_5c17_f0bc, 0x3fff), -1);
                break;
            case Mnemonic.Fldl2t:
                PushConstant(c, new Float80(0xd49a_784b_cd1b_8afe, 0x4000), 1);
                break;
            case Mnemonic.Fldlg2:
                PushConstant(c, new Float80(0x9a20_9a84_fbcf_f799, 0x3ffd), -1);
                break;
            case Mnemonic.Fldln2:
                PushConstant(c, new Float80(0xb172_17f7_d1cf_79ac, 0x3ffe), -1);
                break;
            case Mnemonic.Fxam:
                Examine(c);
                break;
            case Mnemonic.Fincstp:
                c->FpuTop = (c->FpuTop + 1) & 7;
                c->FpuStatus &= unchecked((ushort)~C1);
                break;
            case Mnemonic.Fdecstp:
                c->FpuTop = (c->FpuTop - 1) & 7;
                c->FpuStatus &= unchecked((ushort)~C1);
                break;
            default:
                OnTop(c, m);
                break;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Constants are rounded as the control word says, without an exception.</summary>
    private static void PushConstant(Cpu* c, Float80 v, int direction)
    {
        int rounding = (c->FpuControl >> 10) & 3;
        ulong s = v.Significand;
        s = direction > 0 && rounding == 2 ? s + 1 : direction < 0 && rounding is 1 or 3 ? s - 1 : s;
        c->FpuStatus &= unchecked((ushort)~C1);
        Push(c, v with { Significand = s });
    }

    /// <summary>Instructions that work on ST(0), and some on ST(1) too.</summary>
    private static void OnTop(Cpu* c, Mnemonic m)
    {
        bool two = m is Mnemonic.Fscale or Mnemonic.Fprem or Mnemonic.Fprem1 or Mnemonic.Fyl2x or Mnemonic.Fyl2xp1 or Mnemonic.Fpatan;
        if (IsEmpty(c, 0) || (two && IsEmpty(c, 1)))
        {
            EmptyTop(c, m);
            return;
        }

        Float80Math math = new(c->FpuControl);
        Float80 a = Get(c, 0);
        switch (m)
        {
            case Mnemonic.Fchs:
                c->FpuStatus &= unchecked((ushort)~C1);
                Set(c, 0, a.Negated);
                break;
            case Mnemonic.Fabs:
                c->FpuStatus &= unchecked((ushort)~C1);
                Set(c, 0, a with { SignExponent = (ushort)a.Exponent });
                break;
            case Mnemonic.Fsqrt:
                SetIfAccepted(c, math.SquareRoot(a), ref math);
                break;
            case Mnemonic.Frndint:
                SetIfAccepted(c, math.RoundToIntegral(a), ref math);
                break;
            case Mnemonic.Fscale:
                SetIfAccepted(c, Scale(c, a, Get(c, 1), ref math), ref math);
                break;
            case Mnemonic.Fxtract:
                Extract(c, a, ref math);
                break;
            case Mnemonic.Fprem or Mnemonic.Fprem1:
                Remainder(c, ref math, nearest: m == Mnemonic.Fprem1);
                break;
            default:
                Transcendental(c, ref math, m);
                break;
        }
    }

    private static void SetIfAccepted(Cpu* c, Float80 r, ref Float80Math math)
    {
        if (Accept(c, ref math))
        {
            Set(c, 0, r);
        }
    }

    /// <summary>An operand is missing.</summary>
    private static void EmptyTop(Cpu* c, Mnemonic m)
    {
        if (m is Mnemonic.Fprem or Mnemonic.Fprem1 or Mnemonic.Fsin or Mnemonic.Fcos or Mnemonic.Fptan or Mnemonic.Fsincos)
        {
            c->FpuStatus &= unchecked((ushort)~C2);
        }

        if (!StackFaulted(c, overflow: false))
        {
            return;
        }

        if (m is Mnemonic.Fyl2x or Mnemonic.Fyl2xp1 or Mnemonic.Fpatan)
        {
            Pop(c);
        }

        Set(c, 0, Float80.DefaultNan);
        if (m is Mnemonic.Fxtract or Mnemonic.Fptan or Mnemonic.Fsincos)
        {
            c->FpuTop = (c->FpuTop - 1) & 7;
            Set(c, 0, Float80.DefaultNan);
        }
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

    private static Float80 Scale(Cpu* c, Float80 a, Float80 b, ref Float80Math math)
    {
        if (a.IsNan || b.IsNan || a.IsInfinity || b.IsInfinity || a.IsZero || a.IsUnsupported || b.IsUnsupported)
        {
            // Infinite scales give zero or infinity, except for the opposite operand, which is invalid.
            Float80 factor = b.IsInfinity && b.Sign ? Float80.Zero(false) : b.IsInfinity ? b : Float80.One;
            math.Flags |= !a.IsNan && !b.IsNan && !a.IsUnsupported && !b.IsUnsupported && b.IsDenormal ? Float80Math.Denormal : 0;
            return b.IsNan || b.IsInfinity || b.IsUnsupported ? math.Multiply(a, b.IsInfinity ? factor : b) : math.Multiply(a, Float80.One);
        }

        math.Flags |= a.IsDenormal || b.IsDenormal ? Float80Math.Denormal : 0;
        Float80Math whole = new(0xf00);
        Float80 integer = whole.RoundToIntegral(b, truncate: true);
        long n = integer.Exponent > 0x3fff + 20 ? (integer.Sign ? -100_000 : 100_000) : whole.ToInteger(integer, 32, truncate: true);
        (int e, ulong s) = Float80Math.Unpack(a);
        Float80Math wide = new(c->FpuControl | 0x300);
        Float80 r = wide.Pack(a.Sign, e + (int)n, (UInt128)s << 64);
        math.Take(ref wide);
        return r;
    }

    private static void Extract(Cpu* c, Float80 a, ref Float80Math math)
    {
        Float80 exponent;
        Float80 significand;
        if (a.IsNan || a.IsUnsupported || a.IsInfinity)
        {
            significand = math.Multiply(a, Float80.One);
            exponent = a.IsInfinity ? Float80.Infinity(false) : significand;
        }
        else if (a.IsZero)
        {
            math.Flags |= Float80Math.ZeroDivide;
            exponent = Float80.Infinity(true);
            significand = a;
        }
        else
        {
            math.Flags |= a.IsDenormal ? Float80Math.Denormal : 0;
            (int e, ulong s) = Float80Math.Unpack(a);
            exponent = Float80.FromInteger(e - 0x3fff);
            significand = new Float80(s, (ushort)((a.Sign ? 0x8000 : 0) | 0x3fff));
        }

        if (!IsEmpty(c, 7))
        {
            if (StackFaulted(c, overflow: true))
            {
                Set(c, 0, Float80.DefaultNan);
                c->FpuTop = (c->FpuTop - 1) & 7;
                Set(c, 0, Float80.DefaultNan);
            }

            return;
        }

        if (Accept(c, ref math))
        {
            Set(c, 0, exponent);
            Push(c, significand);
        }
    }

    /// <summary>FPREM and FPREM1: as much as an exponent difference of 63 at a time (SDM: between 32 and 63).</summary>
    private static void Remainder(Cpu* c, ref Float80Math math, bool nearest)
    {
        Float80 a = Get(c, 0);
        Float80 b = Get(c, 1);
        c->FpuStatus &= unchecked((ushort)~C2);
        if (a.IsNan || b.IsNan || a.IsUnsupported || b.IsUnsupported || a.IsInfinity || b.IsZero)
        {
            Float80 nan = a.IsNan || b.IsNan || a.IsUnsupported || b.IsUnsupported ? math.Multiply(a, b) : math.Invalidate();
            SetIfAccepted(c, nan, ref math);
            return;
        }

        math.Flags |= a.IsDenormal || b.IsDenormal ? Float80Math.Denormal : 0;
        if (!Accept(c, ref math))
        {
            return;
        }

        c->FpuStatus &= unchecked((ushort)~(C0 | C1 | C2 | C3));
        if (a.IsZero)
        {
            return;
        }

        Float80Math exact = new(c->FpuControl | 0x300);
        (int ea, ulong sa) = Float80Math.Unpack(a);
        (int eb, ulong sb) = Float80Math.Unpack(b);
        int difference = ea - eb;
        if (b.IsInfinity || difference < -1 || (!nearest && difference < 0))
        {
            // The dividend is the result; a tiny one is an underflow all the same when that is not masked.
            Set(c, 0, exact.Pack(a.Sign, ea, (UInt128)sa << 64));
            Signal(c, exact.Flags);
            return;
        }

        bool partial = difference > 63;
        int steps = partial ? 32 + (difference % 32) : Math.Max(difference, 0);
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

        Float80 r = rest == 0 ? Float80.Zero(a.Sign) : exact.Pack(sign, exponent + 64, rest);
        Set(c, 0, r);
        Signal(c, exact.Flags);
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
}
