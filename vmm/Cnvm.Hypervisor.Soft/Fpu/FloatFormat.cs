namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>An IEEE 754 binary interchange format; values are handled as their bits.</summary>
internal readonly record struct FloatFormat(int FractionBits, int ExponentBits)
{
    public static readonly FloatFormat Half = new(10, 5);
    public static readonly FloatFormat Single = new(23, 8);
    public static readonly FloatFormat Double = new(52, 11);

    /// <summary>Significant bits, with the one that is not stored.</summary>
    public int Precision => FractionBits + 1;

    public int TopExponent => (1 << ExponentBits) - 1;

    public int Bias => (1 << (ExponentBits - 1)) - 1;

    public ulong SignBit => 1ul << (FractionBits + ExponentBits);

    public ulong FractionMask => (1ul << FractionBits) - 1;

    public ulong QuietBit => 1ul << (FractionBits - 1);

    public ulong Infinity => (ulong)TopExponent << FractionBits;

    /// <summary>The NaN that an invalid operation gives (SDM vol. 1 §4.8.3.7).</summary>
    public ulong Indefinite => SignBit | Infinity | QuietBit;

    public bool IsNan(ulong bits) => (bits & ~SignBit) > Infinity;

    public bool IsSignaling(ulong bits) => IsNan(bits) && (bits & QuietBit) == 0;

    public bool IsZero(ulong bits) => (bits & ~SignBit) == 0;

    public bool IsInfinity(ulong bits) => (bits & ~SignBit) == Infinity;

    public bool IsDenormal(ulong bits) => (bits & Infinity) == 0 && (bits & FractionMask) != 0;

    public bool IsNegative(ulong bits) => (bits & SignBit) != 0;

    public ulong Zero(bool sign) => sign ? SignBit : 0;

    public ulong Infinite(bool sign) => sign ? SignBit | Infinity : Infinity;
}
