namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Rounding to extended precision and to the narrower formats.</summary>
internal ref partial struct Float80Math
{
    /// <summary>To a narrower format: its bits.</summary>
    public ulong Narrow(Float80 a, int fractionBits, int exponentBits)
    {
        int top = (1 << exponentBits) - 1;
        int bias = top >> 1;
        ulong sign = a.Sign ? 1ul << (fractionBits + exponentBits) : 0;
        if (a.IsUnsupported)
        {
            a = Fail();
            sign = 1ul << (fractionBits + exponentBits);
        }

        if (a.IsNan)
        {
            Flags |= a.IsSignalingNan ? Invalid : 0;
            return sign | ((ulong)top << fractionBits) | ((a.Quieted.Significand & ~Float80.IntegerBit) >> (63 - fractionBits));
        }

        if (a.IsInfinity || a.IsZero)
        {
            return sign | (a.IsZero ? 0 : (ulong)top << fractionBits);
        }

        (int e, ulong s) = Unpack(a);
        int exponent = e - 0x3fff + bias;
        int drop = 127 - fractionBits;
        UInt128 value = (UInt128)s << 64;
        UInt128 kept = RoundOff(a.Sign, value, drop, out bool inexact, out bool up);
        bool tiny = exponent + (kept >> (fractionBits + 1) != 0 ? 1 : 0) <= 0;
        if (tiny)
        {
            if ((_control & Underflow) == 0)
            {
                Flags |= Underflow;
            }

            kept = RoundOff(a.Sign, Jam(value, Math.Min(1 - exponent, 128)), drop, out inexact, out up);
            exponent = 1;
        }

        RoundedUp = up;
        Flags |= inexact ? tiny ? Inexact | Underflow : Inexact : 0;
        ulong bits = (ulong)kept + ((ulong)(Math.Max(exponent, 1) - 1) << fractionBits);
        if (bits >= (ulong)top << fractionBits)
        {
            Flags |= Overflow | Inexact;
            bool infinite = _rounding == 0 || (_rounding == 1 && a.Sign) || (_rounding == 2 && !a.Sign);
            RoundedUp = infinite;
            bits = infinite ? (ulong)top << fractionBits : ((ulong)top << fractionBits) - 1;
        }

        return sign | bits;
    }

    /// <summary>Rounds and packs: the value is significand / 2^127 * 2^(exponent - bias).</summary>
    public Float80 Pack(bool sign, int exponent, UInt128 significand)
    {
        int zeros = (int)UInt128.LeadingZeroCount(significand);
        significand <<= zeros;
        exponent -= zeros;
        int drop = 128 - _precision;
        UInt128 kept = RoundOff(sign, significand, drop, out bool inexact, out bool up);
        int rounded = exponent;
        if (kept >> _precision != 0)
        {
            kept >>= 1;
            rounded++;
        }

        if (rounded <= 0)
        {
            // Tiny after rounding with an unbounded exponent.
            if ((_control & Underflow) != 0)
            {
                return PackTiny(sign, exponent, significand, drop);
            }

            // Unmasked: the handler gets the result with its exponent moved into range (SDM vol. 1 §8.5.5).
            Flags |= inexact ? Underflow | Inexact : Underflow;
            rounded += ExponentAdjust;
            RoundedUp = up;
            if (rounded <= 0)
            {
                Flags |= Inexact;
                RoundedUp = false;
                return Float80.Zero(sign);
            }

            return Compose(sign, rounded, kept);
        }

        if (rounded >= 0x7fff)
        {
            if ((_control & Overflow) == 0)
            {
                Flags |= inexact ? Overflow | Inexact : Overflow;
                rounded -= ExponentAdjust;
                RoundedUp = up;
                if (rounded >= 0x7fff)
                {
                    Flags |= Inexact;
                    RoundedUp = true;
                    return Float80.Infinity(sign);
                }

                return Compose(sign, rounded, kept);
            }

            Flags |= Overflow | Inexact;
            bool infinite = _rounding == 0 || (_rounding == 1 && sign) || (_rounding == 2 && !sign);
            RoundedUp = infinite;
            return infinite ? Float80.Infinity(sign) : new Float80(ulong.MaxValue << (64 - _precision),
                (ushort)((sign ? 0x8000 : 0) | 0x7ffe));
        }

        Flags |= inexact ? Inexact : 0;
        RoundedUp = up;
        return Compose(sign, rounded, kept);
    }

    private Float80 PackTiny(bool sign, int exponent, UInt128 significand, int drop)
    {
        UInt128 kept = RoundOff(sign, Jam(significand, Math.Min(1 - exponent, 128)), drop, out bool inexact, out bool up);
        Flags |= inexact ? Underflow | Inexact : 0;
        RoundedUp = up;
        ulong s = (ulong)(kept << (64 - _precision));
        return new Float80(s, (ushort)((sign ? 0x8000 : 0) | ((s & Float80.IntegerBit) != 0 ? 1 : 0)));
    }

    private Float80 Compose(bool sign, int exponent, UInt128 kept) =>
        new((ulong)(kept << (64 - _precision)), (ushort)((sign ? 0x8000 : 0) | exponent));

    private UInt128 RoundOff(bool sign, UInt128 significand, int drop, out bool inexact, out bool up)
    {
        UInt128 rest = significand & ((UInt128.One << drop) - 1);
        UInt128 kept = significand >> drop;
        inexact = rest != 0;
        up = RoundsUp(sign, (kept & 1) != 0, rest, UInt128.One << (drop - 1), _rounding);
        return up ? kept + 1 : kept;
    }

    /// <summary>Shifts right; bits that fall off stay visible in the lowest one.</summary>
    private static UInt128 Jam(UInt128 v, int shift)
    {
        if (shift == 0)
        {
            return v;
        }

        return shift > 127 ? (v != 0 ? UInt128.One : UInt128.Zero) : (v >> shift) | ((v & ((UInt128.One << shift) - 1)) != 0 ? UInt128.One : UInt128.Zero);
    }

    private static bool RoundsUp(bool sign, bool odd, UInt128 rest, UInt128 half, int mode) =>
        rest != 0 && mode switch
        {
            0 => rest > half || (rest == half && odd),
            1 => sign,
            2 => !sign,
            _ => false,
        };
}
