namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Addition, multiplication, division, square root, fused multiply-add.</summary>
internal ref partial struct SoftFloat
{
    public ulong Add(FloatFormat f, ulong a, ulong b)
    {
        a = Input(f, a);
        b = Input(f, b);
        if (f.IsNan(a) || f.IsNan(b))
        {
            return Nan(f, a, b);
        }

        if (f.IsInfinity(a) || f.IsInfinity(b))
        {
            if (f.IsInfinity(a) && f.IsInfinity(b) && a != b)
            {
                return Fail(f);
            }

            NoteDenormals(f, a, b);
            return f.IsInfinity(a) ? a : b;
        }

        NoteDenormals(f, a, b);
        return Sum(f, Unpack(f, a), Unpack(f, b));
    }

    public ulong Subtract(FloatFormat f, ulong a, ulong b) => f.IsNan(b) ? Add(f, a, b) : Add(f, a, b ^ f.SignBit);

    private ulong Sum(FloatFormat f, Number x, Number y)
    {
        if (x.IsZero && y.IsZero)
        {
            return f.Zero(x.Sign == y.Sign ? x.Sign : _rounding == 1);
        }

        return SumWide(
            f, x.Sign, x.IsZero ? y.Exponent : x.Exponent, (UInt128)x.Significand << 63, y.Sign, y.IsZero ? x.Exponent : y.Exponent,
            (UInt128)y.Significand << 63);
    }

    /// <summary>Adds significand / 2^126 * 2^exponent twice; not both significands are zero, and each leaves its low bits free.</summary>
    private ulong SumWide(FloatFormat f, bool signX, int exponentX, UInt128 x, bool signY, int exponentY, UInt128 y)
    {
        int exponent = Math.Max(exponentX, exponentY);
        x = Jam(x, Math.Min(exponent - exponentX, 128));
        y = Jam(y, Math.Min(exponent - exponentY, 128));
        if (signX == signY)
        {
            return Pack(f, signX, exponent + 1, x + y);
        }

        return x == y ? f.Zero(_rounding == 1) : x > y ? Pack(f, signX, exponent + 1, x - y) : Pack(f, signY, exponent + 1, y - x);
    }

    public ulong Multiply(FloatFormat f, ulong a, ulong b)
    {
        a = Input(f, a);
        b = Input(f, b);
        if (f.IsNan(a) || f.IsNan(b))
        {
            return Nan(f, a, b);
        }

        bool sign = f.IsNegative(a) != f.IsNegative(b);
        if (f.IsInfinity(a) || f.IsInfinity(b))
        {
            if (f.IsZero(a) || f.IsZero(b))
            {
                return Fail(f);
            }

            NoteDenormals(f, a, b);
            return f.Infinite(sign);
        }

        NoteDenormals(f, a, b);
        Number x = Unpack(f, a);
        Number y = Unpack(f, b);
        return x.IsZero || y.IsZero ? f.Zero(sign) : Pack(f, sign, x.Exponent + y.Exponent + 1, (UInt128)x.Significand * y.Significand);
    }

    public ulong Divide(FloatFormat f, ulong a, ulong b)
    {
        a = Input(f, a);
        b = Input(f, b);
        if (f.IsNan(a) || f.IsNan(b))
        {
            return Nan(f, a, b);
        }

        bool sign = f.IsNegative(a) != f.IsNegative(b);
        if ((f.IsInfinity(a) && f.IsInfinity(b)) || (f.IsZero(a) && f.IsZero(b)))
        {
            return Fail(f);
        }

        if (f.IsZero(b) && !f.IsInfinity(a))
        {
            Flags |= ZeroDivide;
            return f.Infinite(sign);
        }

        NoteDenormals(f, a, b);
        if (f.IsInfinity(a))
        {
            return f.Infinite(sign);
        }

        if (f.IsInfinity(b) || f.IsZero(a))
        {
            return f.Zero(sign);
        }

        Number x = Unpack(f, a);
        Number y = Unpack(f, b);
        UInt128 number = (UInt128)x.Significand << 63;
        UInt128 quotient = number / y.Significand;
        bool rest = number != quotient * y.Significand;
        return Pack(f, sign, x.Exponent - y.Exponent, (quotient << 64) | (rest ? UInt128.One : UInt128.Zero));
    }

    public ulong SquareRoot(FloatFormat f, ulong a)
    {
        a = Input(f, a);
        if (f.IsNan(a))
        {
            return Nan(f, a, a);
        }

        if (f.IsZero(a))
        {
            return a;
        }

        if (f.IsNegative(a))
        {
            return Fail(f);
        }

        if (f.IsInfinity(a))
        {
            return a;
        }

        NoteDenormals(f, a, a);
        Number x = Unpack(f, a);
        UInt128 n = (UInt128)x.Significand << ((x.Exponent & 1) != 0 ? 64 : 63);
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

        return Pack(f, false, x.Exponent >> 1, ((UInt128)root << 64) | (rest != 0 ? UInt128.One : UInt128.Zero));
    }

    /// <summary>a * b + c with one rounding. NaNs are looked for in the order a, b, c.</summary>
    public ulong MultiplyAdd(FloatFormat f, ulong a, ulong b, ulong c, bool negateProduct, bool negateAddend)
    {
        a = Input(f, a);
        b = Input(f, b);
        c = Input(f, c);
        if (f.IsNan(a) || f.IsNan(b) || f.IsNan(c))
        {
            Flags |= f.IsSignaling(a) || f.IsSignaling(b) || f.IsSignaling(c) ? Invalid : 0;
            return (f.IsNan(a) ? a : f.IsNan(b) ? b : c) | f.QuietBit;
        }

        bool sign = (f.IsNegative(a) != f.IsNegative(b)) != negateProduct;
        c = negateAddend ? c ^ f.SignBit : c;
        bool infinite = f.IsInfinity(a) || f.IsInfinity(b);
        if ((infinite && (f.IsZero(a) || f.IsZero(b))) || (infinite && f.IsInfinity(c) && sign != f.IsNegative(c)))
        {
            return Fail(f);
        }

        NoteDenormals(f, a, b);
        NoteDenormals(f, c, c);
        if (infinite || f.IsInfinity(c))
        {
            return infinite ? f.Infinite(sign) : c;
        }

        Number x = Unpack(f, a);
        Number y = Unpack(f, b);
        Number z = Unpack(f, c);
        if (x.IsZero || y.IsZero)
        {
            return Sum(f, new Number(sign, 0, 0), z);
        }

        UInt128 product = (UInt128)x.Significand * y.Significand;
        int exponent = x.Exponent + y.Exponent + 1;
        return z.IsZero
            ? Pack(f, sign, exponent, product)
            : SumWide(f, sign, exponent, product >> 1, z.Sign, z.Exponent, (UInt128)z.Significand << 63);
    }
}
