namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>An 80-bit extended-precision value as x87 registers hold it.</summary>
internal readonly record struct Float80(ulong Significand, ushort SignExponent)
{
    public const ulong IntegerBit = 1ul << 63;

    public static readonly Float80 DefaultNan = new(0xc000_0000_0000_0000, 0xffff);
    public static readonly Float80 One = new(IntegerBit, 0x3fff);

    public bool Sign => (SignExponent & 0x8000) != 0;

    public int Exponent => SignExponent & 0x7fff;

    public bool IsZero => Exponent == 0 && Significand == 0;

    public bool IsInfinity => Exponent == 0x7fff && Significand == IntegerBit;

    public bool IsNan => Exponent == 0x7fff && (Significand & IntegerBit) != 0 && Significand != IntegerBit;

    public bool IsSignalingNan => IsNan && (Significand & (1ul << 62)) == 0;

    /// <summary>Encodings that no current processor produces (SDM vol. 1 table 8-3).</summary>
    public bool IsUnsupported => Exponent != 0 && (Significand & IntegerBit) == 0;

    public bool IsDenormal => Exponent == 0 && Significand != 0;

    public Float80 Negated => new(Significand, (ushort)(SignExponent ^ 0x8000));

    public Float80 Quieted => new(Significand | (1ul << 62), SignExponent);

    public static Float80 Zero(bool sign) => new(0, sign ? (ushort)0x8000 : (ushort)0);

    public static Float80 Infinity(bool sign) => new(IntegerBit, sign ? (ushort)0xffff : (ushort)0x7fff);

    public static Float80 FromInteger(long v)
    {
        if (v == 0)
        {
            return default;
        }

        ulong magnitude = v < 0 ? 0 - (ulong)v : (ulong)v;
        int shift = System.Numerics.BitOperations.LeadingZeroCount(magnitude);
        return new Float80(magnitude << shift, (ushort)((v < 0 ? 0x8000 : 0) | (0x3fff + 63 - shift)));
    }

    /// <summary>Widens a double exactly; a signaling NaN stays one.</summary>
    public static Float80 FromDouble(ulong bits)
    {
        ushort sign = (ushort)((bits >> 48) & 0x8000);
        int exponent = (int)(bits >> 52) & 0x7ff;
        ulong fraction = bits & 0xf_ffff_ffff_ffff;
        return Widen(sign, exponent, fraction << 11, 0x7ff, 1023);
    }

    public static Float80 FromSingle(uint bits)
    {
        ushort sign = (ushort)((bits >> 16) & 0x8000);
        int exponent = (int)(bits >> 23) & 0xff;
        return Widen(sign, exponent, (ulong)(bits & 0x7f_ffff) << 40, 0xff, 127);
    }

    private static Float80 Widen(ushort sign, int exponent, ulong fraction, int top, int bias)
    {
        if (exponent == top)
        {
            return new Float80(fraction | IntegerBit, (ushort)(sign | 0x7fff));
        }

        if (exponent != 0)
        {
            return new Float80(fraction | IntegerBit, (ushort)(sign | (exponent - bias + 0x3fff)));
        }

        if (fraction == 0)
        {
            return new Float80(0, sign);
        }

        int shift = System.Numerics.BitOperations.LeadingZeroCount(fraction);
        return new Float80(fraction << shift, (ushort)(sign | (1 - bias + 0x3fff - shift)));
    }
}
