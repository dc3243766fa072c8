using System.Numerics;
using System.Runtime.Intrinsics.X86;

namespace Cnvm.Hypervisor.Soft.Ops;

/// <summary>A BMI1/BMI2 operation on zero-extended operands.</summary>
internal interface IBmi
{
    static abstract bool HasFlags { get; }

    static abstract ulong Compute(ulong a, ulong b, int bits);

    static abstract bool Carry(ulong a, ulong b, int bits);
}

/// <summary>~a &amp; b.</summary>
internal readonly struct Andn : IBmi
{
    public static bool HasFlags => true;

    public static ulong Compute(ulong a, ulong b, int bits) => ~a & b;

    public static bool Carry(ulong a, ulong b, int bits) => false;
}

/// <summary>Bits of b, start and length in a.</summary>
internal readonly struct Bextr : IBmi
{
    public static bool HasFlags => true;

    public static ulong Compute(ulong a, ulong b, int bits)
    {
        int start = (int)(a & 0xff);
        int length = (int)((a >> 8) & 0xff);
        ulong v = start >= bits ? 0 : b >> start;
        return length >= 64 ? v : v & ((1ul << length) - 1);
    }

    public static bool Carry(ulong a, ulong b, int bits) => false;
}

internal readonly struct Blsi : IBmi
{
    public static bool HasFlags => true;

    public static ulong Compute(ulong a, ulong b, int bits) => b & (0 - b);

    public static bool Carry(ulong a, ulong b, int bits) => b != 0;
}

internal readonly struct Blsmsk : IBmi
{
    public static bool HasFlags => true;

    public static ulong Compute(ulong a, ulong b, int bits) => b ^ (b - 1);

    public static bool Carry(ulong a, ulong b, int bits) => b == 0;
}

internal readonly struct Blsr : IBmi
{
    public static bool HasFlags => true;

    public static ulong Compute(ulong a, ulong b, int bits) => b & (b - 1);

    public static bool Carry(ulong a, ulong b, int bits) => b == 0;
}

/// <summary>b without its bits from index a up.</summary>
internal readonly struct Bzhi : IBmi
{
    public static bool HasFlags => true;

    public static ulong Compute(ulong a, ulong b, int bits) => (int)(a & 0xff) >= bits ? b : b & ((1ul << (int)(a & 0xff)) - 1);

    public static bool Carry(ulong a, ulong b, int bits) => (int)(a & 0xff) >= bits;
}

/// <summary>Low bits of a to the places of the mask b.</summary>
internal readonly struct Pdep : IBmi
{
    public static bool HasFlags => false;

    public static ulong Compute(ulong a, ulong b, int bits)
    {
        if (Bmi2.X64.IsSupported)
        {
            return Bmi2.X64.ParallelBitDeposit(a, b);
        }

        ulong r = 0;
        for (; b != 0; b &= b - 1, a >>= 1)
        {
            r |= (a & 1) << BitOperations.TrailingZeroCount(b);
        }

        return r;
    }

    public static bool Carry(ulong a, ulong b, int bits) => false;
}

/// <summary>Bits of a at the places of the mask b, packed.</summary>
internal readonly struct Pext : IBmi
{
    public static bool HasFlags => false;

    public static ulong Compute(ulong a, ulong b, int bits)
    {
        if (Bmi2.X64.IsSupported)
        {
            return Bmi2.X64.ParallelBitExtract(a, b);
        }

        ulong r = 0;
        for (int i = 0; b != 0; b &= b - 1, i++)
        {
            r |= ((a >> BitOperations.TrailingZeroCount(b)) & 1) << i;
        }

        return r;
    }

    public static bool Carry(ulong a, ulong b, int bits) => false;
}

/// <summary>SHLX and its kin: b shifted by a.</summary>
internal readonly struct Shlx : IBmi
{
    public static bool HasFlags => false;

    public static ulong Compute(ulong a, ulong b, int bits) => b << (int)(a & (uint)(bits - 1));

    public static bool Carry(ulong a, ulong b, int bits) => false;
}

internal readonly struct Shrx : IBmi
{
    public static bool HasFlags => false;

    public static ulong Compute(ulong a, ulong b, int bits) => b >> (int)(a & (uint)(bits - 1));

    public static bool Carry(ulong a, ulong b, int bits) => false;
}

internal readonly struct Sarx : IBmi
{
    public static bool HasFlags => false;

    public static ulong Compute(ulong a, ulong b, int bits) =>
        (ulong)((bits == 32 ? (int)b : (long)b) >> (int)(a & (uint)(bits - 1)));

    public static bool Carry(ulong a, ulong b, int bits) => false;
}
