using System.Numerics;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>
/// SSE arithmetic in integers, as MXCSR says: every rounding mode, denormals-are-zero, flush-to-zero, and the exception flags
/// (SDM vol. 1 §11.5). The vector instructions come here for what the host's own arithmetic cannot be trusted with.
/// </summary>
/// <param name="mxcsr">Control bits of the calculation.</param>
internal ref partial struct SoftFloat(uint mxcsr)
{
    public const uint Invalid = 1;
    public const uint Denormal = 2;
    public const uint ZeroDivide = 4;
    public const uint Overflow = 8;
    public const uint Underflow = 16;
    public const uint Inexact = 32;

    public const uint DenormalsAreZero = 0x40;
    public const uint UnderflowMask = 0x800;
    public const uint OverflowMask = 0x400;
    public const uint FlushToZero = 0x8000;

    private readonly uint _mxcsr = mxcsr;
    private readonly int _rounding = (int)(mxcsr >> 13) & 3;

    /// <summary>Exceptions so far, at their MXCSR places.</summary>
    public uint Flags { get; private set; }

    /// <summary>A finite number: Significand / 2^63 * 2^Exponent; zero when the significand is.</summary>
    private readonly record struct Number(bool Sign, int Exponent, ulong Significand)
    {
        public bool IsZero => Significand == 0;
    }

    public static uint FlagsOf(uint mxcsr) => mxcsr & 0x3f;

    /// <summary>Replaces a denormal by zero when MXCSR says so.</summary>
    private readonly ulong Input(FloatFormat f, ulong bits) =>
        (_mxcsr & DenormalsAreZero) != 0 && f.IsDenormal(bits) ? bits & f.SignBit : bits;

    private static Number Unpack(FloatFormat f, ulong bits)
    {
        bool sign = f.IsNegative(bits);
        int exponent = (int)(bits >> f.FractionBits) & f.TopExponent;
        ulong fraction = bits & f.FractionMask;
        if (exponent != 0)
        {
            return new Number(sign, exponent - f.Bias, (fraction | (1ul << f.FractionBits)) << (63 - f.FractionBits));
        }

        if (fraction == 0)
        {
            return new Number(sign, 0, 0);
        }

        int zeros = BitOperations.LeadingZeroCount(fraction);
        return new Number(sign, 1 - f.Bias + (63 - f.FractionBits) - zeros, fraction << zeros);
    }

    private ulong Fail(FloatFormat f)
    {
        Flags |= Invalid;
        return f.Indefinite;
    }

    /// <summary>The first operand when that is a NaN, or else the second; quieted (SDM vol. 1 table 4-7).</summary>
    private ulong Nan(FloatFormat f, ulong a, ulong b)
    {
        Flags |= f.IsSignaling(a) || f.IsSignaling(b) ? Invalid : 0;
        return (f.IsNan(a) ? a : b) | f.QuietBit;
    }

    private void NoteDenormals(FloatFormat f, ulong a, ulong b) => Flags |= f.IsDenormal(a) || f.IsDenormal(b) ? Denormal : 0;

    /// <summary>Rounds significand / 2^127 * 2^exponent to the format. The significand is not zero.</summary>
    private ulong Pack(FloatFormat f, bool sign, int exponent, UInt128 significand, bool mayFlush = true)
    {
        int zeros = (int)UInt128.LeadingZeroCount(significand);
        significand <<= zeros;
        int biased = exponent - zeros + f.Bias;
        int drop = 128 - f.Precision;
        ulong kept = Round(sign, significand, drop, out bool inexact);
        if (kept >> f.Precision != 0)
        {
            kept >>= 1;
            biased++;
        }

        ulong signBit = sign ? f.SignBit : 0;
        if (biased >= f.TopExponent)
        {
            return signBit | TooLarge(f, sign, inexact);
        }

        if (biased > 0)
        {
            Flags |= inexact ? Inexact : 0;
            return signBit | ((ulong)(biased - 1) << f.FractionBits) + kept;
        }

        // Tiny after rounding to full precision: SSE looks at that, not at the value before.
        bool masked = (_mxcsr & UnderflowMask) != 0;
        if (!masked)
        {
            Flags |= inexact ? Underflow | Inexact : Underflow;
            return signBit;
        }

        if (mayFlush && (_mxcsr & FlushToZero) != 0)
        {
            Flags |= Underflow | Inexact;
            return signBit;
        }

        int shift = 1 - (exponent - zeros + f.Bias);
        kept = Round(sign, Jam(significand, shift), drop, out inexact);
        Flags |= inexact ? Underflow | Inexact : 0;
        return signBit | kept;
    }

    private ulong TooLarge(FloatFormat f, bool sign, bool inexact)
    {
        bool masked = (_mxcsr & OverflowMask) != 0;
        Flags |= masked || inexact ? Overflow | Inexact : Overflow;
        bool infinite = _rounding == 0 || (_rounding == 1 && sign) || (_rounding == 2 && !sign);
        return infinite ? f.Infinity : f.Infinity - 1;
    }

    /// <summary>The top bits of a significand, rounded; may carry into one bit more.</summary>
    private readonly ulong Round(bool sign, UInt128 significand, int drop, out bool inexact)
    {
        ulong kept = (ulong)(significand >> drop);
        UInt128 rest = significand & ((UInt128.One << drop) - 1);
        inexact = rest != 0;
        return RoundsUp(sign, (kept & 1) != 0, rest, UInt128.One << (drop - 1), _rounding) ? kept + 1 : kept;
    }

    private static bool RoundsUp(bool sign, bool odd, UInt128 rest, UInt128 half, int mode) =>
        rest != 0 && mode switch
        {
            0 => rest > half || (rest == half && odd),
            1 => sign,
            2 => !sign,
            _ => false,
        };

    /// <summary>Shifts right; bits that fall off stay visible in the lowest one.</summary>
    private static UInt128 Jam(UInt128 v, int shift)
    {
        if (shift == 0)
        {
            return v;
        }

        return shift > 127 ? (v != 0 ? UInt128.One : UInt128.Zero)
            : (v >> shift) | ((v & ((UInt128.One << shift) - 1)) != 0 ? UInt128.One : UInt128.Zero);
    }
}
