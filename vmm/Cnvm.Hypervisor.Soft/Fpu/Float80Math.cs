using System.Numerics;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>
/// Arithmetic on 80-bit values in software, rounded as the control word says. One object per calculation context; exceptions
/// accumulate in <see cref="Flags"/> at their status-word places.
/// </summary>
internal ref partial struct Float80Math(int control)
{
    public const int Invalid = 1;
    public const int Denormal = 2;
    public const int ZeroDivide = 4;
    public const int Overflow = 8;
    public const int Underflow = 16;
    public const int Inexact = 32;

    /// <summary>What unmasked overflow takes from an exponent, and unmasked underflow adds.</summary>
    private const int ExponentAdjust = 24576;

    private readonly int _rounding = (control >> 10) & 3;
    private readonly int _control = control;
    private readonly int _precision = ((control >> 8) & 3) switch { 0 => 24, 2 => 53, _ => 64 };

    public int Flags { get; set; }

    /// <summary>The last rounding went away from zero (C1).</summary>
    public bool RoundedUp { get; private set; }

    /// <summary>The rounded value was not used after all.</summary>
    public void ForgetRounding() => RoundedUp = false;

    public Float80 Add(Float80 a, Float80 b)
    {
        if (Special(a, b, out Float80 nan))
        {
            return nan;
        }

        if (a.IsInfinity || b.IsInfinity)
        {
            return a.IsInfinity && b.IsInfinity && a.Sign != b.Sign ? Fail() : a.IsInfinity ? a : b;
        }

        if (a.IsZero && b.IsZero)
        {
            return Float80.Zero(a.Sign == b.Sign ? a.Sign : _rounding == 1);
        }

        (int ea, ulong sa) = Unpack(a);
        (int eb, ulong sb) = Unpack(b);
        if (a.IsZero)
        {
            ea = eb;
        }
        else if (b.IsZero)
        {
            eb = ea;
        }

        int e = Math.Max(ea, eb);
        UInt128 x = Jam((UInt128)sa << 63, e - ea);
        UInt128 y = Jam((UInt128)sb << 63, e - eb);
        if (a.Sign == b.Sign)
        {
            return Pack(a.Sign, e + 1, x + y);
        }

        return x == y ? Float80.Zero(_rounding == 1) : x > y ? Pack(a.Sign, e + 1, x - y) : Pack(b.Sign, e + 1, y - x);
    }

    public Float80 Subtract(Float80 a, Float80 b) => b.IsNan ? Add(a, b) : Add(a, b.Negated);

    public Float80 Multiply(Float80 a, Float80 b)
    {
        if (Special(a, b, out Float80 nan))
        {
            return nan;
        }

        bool sign = a.Sign != b.Sign;
        if (a.IsInfinity || b.IsInfinity)
        {
            return a.IsZero || b.IsZero ? Fail() : Float80.Infinity(sign);
        }

        if (a.IsZero || b.IsZero)
        {
            return Float80.Zero(sign);
        }

        (int ea, ulong sa) = Unpack(a);
        (int eb, ulong sb) = Unpack(b);
        return Pack(sign, ea + eb - 0x3fff + 1, (UInt128)sa * sb);
    }

    public Float80 Divide(Float80 a, Float80 b)
    {
        if (Special(a, b, out Float80 nan))
        {
            return nan;
        }

        bool sign = a.Sign != b.Sign;
        if (a.IsInfinity)
        {
            return b.IsInfinity ? Fail() : Float80.Infinity(sign);
        }

        if (b.IsInfinity)
        {
            return Float80.Zero(sign);
        }

        if (b.IsZero)
        {
            if (a.IsZero)
            {
                return Fail();
            }

            Flags = ZeroDivide;
            return Float80.Infinity(sign);
        }

        if (a.IsZero)
        {
            return Float80.Zero(sign);
        }

        (int ea, ulong sa) = Unpack(a);
        (int eb, ulong sb) = Unpack(b);
        UInt128 number = (UInt128)sa << 63;
        UInt128 quotient = number / sb;
        UInt128 rest = (number - (quotient * sb)) << 62;
        UInt128 more = rest / sb;
        UInt128 significand = (quotient << 62) | more | (rest != more * sb ? UInt128.One : UInt128.Zero);
        return Pack(sign, ea - eb + 0x3fff + 2, significand);
    }

    public Float80 SquareRoot(Float80 a)
    {
        if (Special(a, Float80.One, out Float80 nan))
        {
            return nan;
        }

        if (a.IsZero || (a.IsInfinity && !a.Sign))
        {
            return a;
        }

        if (a.Sign)
        {
            return Fail();
        }

        (int e, ulong s) = Unpack(a);
        int power = e - 0x3fff;
        UInt128 n = (UInt128)s << ((power & 1) != 0 ? 64 : 63);
        ulong root = 0;
        UInt128 rest = 0;
        for (int i = 126; i >= 0; i -= 2)
        {
            rest = (rest << 2) | ((n >> i) & 3);
            UInt128 trial = ((UInt128)root << 2) | 1;
            root <<= 1;
            if (rest >= trial)
            {
                rest -= trial;
                root |= 1;
            }
        }

        UInt128 below = rest > root ? (UInt128.One << 63) | 1 : rest != 0 ? UInt128.One : UInt128.Zero;
        return Pack(false, (power >> 1) + 0x3fff, ((UInt128)root << 64) | below);
    }

    /// <summary>-1, 0, 1; 2 when unordered. Quiet NaNs are invalid only for ordered comparisons.</summary>
    public int Compare(Float80 a, Float80 b, bool ordered)
    {
        if (a.IsNan || b.IsNan || a.IsUnsupported || b.IsUnsupported)
        {
            if (ordered || a.IsSignalingNan || b.IsSignalingNan || a.IsUnsupported || b.IsUnsupported)
            {
                Flags |= Invalid;
            }

            return 2;
        }

        Flags |= a.IsDenormal || b.IsDenormal ? Denormal : 0;
        if (a.IsZero && b.IsZero)
        {
            return 0;
        }

        if (a.Sign != b.Sign)
        {
            return a.Sign ? -1 : 1;
        }

        int magnitude = a.Exponent != b.Exponent ? a.Exponent.CompareTo(b.Exponent) : a.Significand.CompareTo(b.Significand);
        return a.Sign ? -magnitude : magnitude;
    }

    /// <summary>Rounds to an integral value by the rounding mode (or toward zero).</summary>
    public Float80 RoundToIntegral(Float80 a, bool truncate = false)
    {
        if (a.IsNan || a.IsUnsupported)
        {
            return Special(a, Float80.One, out Float80 nan) ? nan : a;
        }

        if (a.IsInfinity || a.IsZero || a.Exponent >= 0x3fff + 63)
        {
            return a;
        }

        Flags |= a.IsDenormal && !truncate ? Denormal : 0;
        (int e, ulong s) = Unpack(a);
        int fractionBits = 0x3fff + 63 - e;
        UInt128 value = Jam((UInt128)s << 63, Math.Min(fractionBits, 127));
        ulong whole = (ulong)(value >> 63);
        UInt128 fraction = value & ((UInt128.One << 63) - 1);
        if (RoundsUp(a.Sign, (whole & 1) != 0, fraction, UInt128.One << 62, truncate ? 3 : _rounding))
        {
            whole++;
            RoundedUp = true;
        }

        Flags |= fraction != 0 ? Inexact : 0;
        if (whole == 0)
        {
            return Float80.Zero(a.Sign);
        }

        int shift = BitOperations.LeadingZeroCount(whole);
        return new Float80(whole << shift, (ushort)((a.Sign ? 0x8000 : 0) | (0x3fff + 63 - shift)));
    }

    /// <summary>To a signed integer of some bits; out of range gives the integer indefinite and Invalid.</summary>
    public long ToInteger(Float80 a, int bits, bool truncate)
    {
        long indefinite = long.MinValue >> (64 - bits);
        int before = Flags;
        Float80 r = RoundToIntegral(a, truncate);
        long limit = 0x3fff + bits - 1;
        bool edge = r.Sign && r.Exponent == limit && r.Significand == Float80.IntegerBit;
        if (r.IsNan || r.IsInfinity || a.IsUnsupported || (r.Exponent >= limit && !edge))
        {
            Flags = before | Invalid;
            RoundedUp = false;
            return indefinite;
        }

        if (r.IsZero)
        {
            return 0;
        }

        ulong magnitude = r.Significand >> (0x3fff + 63 - r.Exponent);
        return r.Sign ? (long)(0 - magnitude) : (long)magnitude;
    }

    /// <summary>NaN operands: the result is the one with the larger significand, quieted.</summary>
    private bool Special(Float80 a, Float80 b, out Float80 result)
    {
        result = default;
        if (a.IsUnsupported || b.IsUnsupported)
        {
            result = Fail();
            return true;
        }

        if (!a.IsNan && !b.IsNan)
        {
            Flags |= a.IsDenormal || b.IsDenormal ? Denormal : 0;
            return false;
        }

        Flags |= a.IsSignalingNan || b.IsSignalingNan ? Invalid : 0;
        Float80 chosen = !b.IsNan ? a : !a.IsNan ? b : a.IsSignalingNan && !b.IsSignalingNan ? b : b.IsSignalingNan && !a.IsSignalingNan ? a
            : a.Significand > b.Significand ? a : b.Significand > a.Significand ? b : a.Sign ? b : a;
        result = chosen.Quieted;
        return true;
    }

    /// <summary>Takes over what another calculation found.</summary>
    public void Take(ref Float80Math other)
    {
        Flags |= other.Flags;
        RoundedUp = other.RoundedUp;
    }

    public Float80 Invalidate() => Fail();

    private Float80 Fail()
    {
        Flags = (Flags & ~Denormal) | Invalid;
        return Float80.DefaultNan;
    }

    public static (int Exponent, ulong Significand) Unpack(Float80 a)
    {
        if (a.Exponent != 0 || a.Significand == 0)
        {
            return (a.Exponent, a.Significand);
        }

        int shift = BitOperations.LeadingZeroCount(a.Significand);
        return (1 - shift, a.Significand << shift);
    }
}
