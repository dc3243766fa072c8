using System.Numerics;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Comparison and conversion.</summary>
internal ref partial struct SoftFloat
{
    /// <summary>-1, 0, 1; 2 when unordered. Quiet NaNs are invalid only for <paramref name="signaling"/> comparisons.</summary>
    public int Compare(FloatFormat f, ulong a, ulong b, bool signaling)
    {
        a = Input(f, a);
        b = Input(f, b);
        if (f.IsNan(a) || f.IsNan(b))
        {
            Flags |= signaling || f.IsSignaling(a) || f.IsSignaling(b) ? Invalid : 0;
            return 2;
        }

        NoteDenormals(f, a, b);
        if (f.IsZero(a) && f.IsZero(b))
        {
            return 0;
        }

        bool negative = f.IsNegative(a);
        if (negative != f.IsNegative(b))
        {
            return negative ? -1 : 1;
        }

        int magnitude = (a & ~f.SignBit).CompareTo(b & ~f.SignBit);
        return negative ? -magnitude : magnitude;
    }

    /// <summary>MIN and MAX: the second operand unless the first is strictly less (greater).</summary>
    public ulong Extreme(FloatFormat f, ulong a, ulong b, bool max)
    {
        int order = Compare(f, a, b, signaling: true);
        return Input(f, order == (max ? 1 : -1) ? a : b);
    }

    /// <summary>To another format.</summary>
    public ulong Convert(FloatFormat from, FloatFormat to, ulong bits)
    {
        // Half-precision operands are never taken for zero and never set the denormal flag (SDM vol. 2, VCVTPH2PS).
        bool half = from == FloatFormat.Half;
        bits = half ? bits : Input(from, bits);
        bool sign = from.IsNegative(bits);
        if (from.IsNan(bits))
        {
            Flags |= from.IsSignaling(bits) ? Invalid : 0;
            ulong fraction = (bits & from.FractionMask) | from.QuietBit;
            int shift = to.FractionBits - from.FractionBits;
            return to.Infinite(sign) | (shift >= 0 ? fraction << shift : fraction >> -shift);
        }

        if (from.IsInfinity(bits))
        {
            return to.Infinite(sign);
        }

        if (from.IsZero(bits))
        {
            return to.Zero(sign);
        }

        Flags |= !half && from.IsDenormal(bits) ? Denormal : 0;
        Number n = Unpack(from, bits);
        return Pack(to, sign, n.Exponent, (UInt128)n.Significand << 64, mayFlush: to != FloatFormat.Half);
    }

    public ulong FromInteger(FloatFormat f, long v)
    {
        if (v == 0)
        {
            return 0;
        }

        ulong magnitude = v < 0 ? 0 - (ulong)v : (ulong)v;
        return Pack(f, v < 0, 127, magnitude);
    }

    /// <summary>To a signed integer of 32 or 64 bits; out of range gives the integer indefinite and Invalid.</summary>
    public long ToInteger(FloatFormat f, ulong bits, int size, bool truncate)
    {
        long indefinite = long.MinValue >> (64 - size);
        bits = Input(f, bits);
        if (f.IsNan(bits) || f.IsInfinity(bits))
        {
            Flags |= Invalid;
            return indefinite;
        }

        Number n = Unpack(f, bits);
        if (n.IsZero)
        {
            return 0;
        }

        if (n.Exponent > 63)
        {
            Flags |= Invalid;
            return indefinite;
        }

        UInt128 whole = WholePart(n, truncate ? 3 : _rounding, out bool inexact);
        UInt128 limit = UInt128.One << (size - 1);
        if (whole > limit || (whole == limit && !n.Sign))
        {
            Flags |= Invalid;
            return indefinite;
        }

        Flags |= inexact ? Inexact : 0;
        return n.Sign ? (long)(0 - (ulong)whole) : (long)(ulong)whole;
    }

    private static UInt128 WholePart(Number n, int mode, out bool inexact)
    {
        UInt128 fixedPoint = (UInt128)n.Significand << 63;
        fixedPoint = n.Exponent == 63 ? (UInt128)n.Significand << 63 : Jam(fixedPoint, Math.Min(63 - n.Exponent, 128));
        UInt128 whole = fixedPoint >> 63;
        UInt128 rest = fixedPoint & ((UInt128.One << 63) - 1);
        inexact = rest != 0;
        return RoundsUp(n.Sign, (whole & 1) != 0, rest, UInt128.One << 62, mode) ? whole + 1 : whole;
    }

    /// <summary>ROUNDSS and its kin: bits 1:0 the mode unless bit 2 says MXCSR's, bit 3 keeps the inexact flag down.</summary>
    public ulong RoundToIntegral(FloatFormat f, ulong bits, int control)
    {
        bits = Input(f, bits);
        if (f.IsNan(bits))
        {
            return Nan(f, bits, bits);
        }

        Number n = Unpack(f, bits);
        if (f.IsInfinity(bits) || n.IsZero || n.Exponent >= f.FractionBits)
        {
            return bits;
        }

        ulong whole = (ulong)WholePart(n, (control & 4) != 0 ? _rounding : control & 3, out bool inexact);
        Flags |= inexact && (control & 8) == 0 ? Inexact : 0;
        if (whole == 0)
        {
            return f.Zero(n.Sign);
        }

        int top = BitOperations.Log2(whole);
        return f.Zero(n.Sign) | ((ulong)(top + f.Bias - 1) << f.FractionBits) + (whole << (f.FractionBits - top));
    }
}
