namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Packed BCD of FBLD and FBSTP: eighteen digits and a sign byte (SDM vol. 1 §4.7).</summary>
internal static class PackedDecimal
{
    /// <summary>What an invalid operation stores.</summary>
    private static readonly UInt128 Indefinite = new(0xffff, 0xc000_0000_0000_0000);

    private const ulong Limit = 1_000_000_000_000_000_000;

    /// <param name="low">The lower sixteen digits.</param>
    /// <param name="high">Two digits and the sign.</param>
    public static Float80 ToExtended(ulong low, ushort high)
    {
        ulong v = 0;
        for (int shift = 4; shift >= 0; shift -= 4)
        {
            v = (v * 10) + (ulong)((high >> shift) & 15);
        }

        for (int shift = 60; shift >= 0; shift -= 4)
        {
            v = (v * 10) + ((low >> shift) & 15);
        }

        Float80 magnitude = Float80.FromInteger((long)v);
        return (high & 0x8000) != 0 ? magnitude.Negated : magnitude;
    }

    public static UInt128 From(Float80 a, ref Float80Math math)
    {
        long v = math.ToInteger(a, 64, truncate: false);
        ulong magnitude = v < 0 ? 0 - (ulong)v : (ulong)v;
        if (magnitude >= Limit)
        {
            math.Flags = Float80Math.Invalid;
            math.ForgetRounding();
        }

        if ((math.Flags & Float80Math.Invalid) != 0)
        {
            return Indefinite;
        }

        UInt128 digits = 0;
        for (int shift = 0; shift < 72; shift += 4, magnitude /= 10)
        {
            digits |= (UInt128)(magnitude % 10) << shift;
        }

        return a.Sign ? digits | (UInt128)0x80 << 72 : digits;
    }
}
