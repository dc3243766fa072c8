using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Arithmetic instructions on 128 bits. Each returns the exceptions that it met, at their MXCSR places.</summary>
internal static unsafe class FloatPacked
{
    /// <summary>One element; the caller has the MXCSR and collects exceptions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Element<T>(float a, float b, uint mxcsr, ref uint raised)
        where T : struct, IFloatArithmetic
    {
        if (FloatElements.IsPlainControl(mxcsr) && FloatElements.IsZeroOrNormal(a) && FloatElements.IsZeroOrNormal(b))
        {
            float r = T.Host(a, b);
            if (FloatElements.IsSafeResult(r))
            {
                raised |= (mxcsr & SoftFloat.Inexact) == 0 && !T.IsExact(a, b, r) ? SoftFloat.Inexact : 0;
                return r;
            }
        }

        return BitConverter.UInt32BitsToSingle(
            (uint)Slow<T>(FloatFormat.Single, BitConverter.SingleToUInt32Bits(a), BitConverter.SingleToUInt32Bits(b), mxcsr, ref raised));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Element<T>(double a, double b, uint mxcsr, ref uint raised)
        where T : struct, IFloatArithmetic
    {
        if (FloatElements.IsPlainControl(mxcsr) && FloatElements.IsZeroOrNormal(a) && FloatElements.IsZeroOrNormal(b))
        {
            double r = T.Host(a, b);
            if (FloatElements.IsSafeResult(r) && ((mxcsr & SoftFloat.Inexact) != 0 || T.IsExact(a, b, r)))
            {
                return r;
            }
        }

        return BitConverter.UInt64BitsToDouble(
            Slow<T>(FloatFormat.Double, BitConverter.DoubleToUInt64Bits(a), BitConverter.DoubleToUInt64Bits(b), mxcsr, ref raised));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong Slow<T>(FloatFormat f, ulong a, ulong b, uint mxcsr, ref uint raised)
        where T : struct, IFloatArithmetic
    {
        SoftFloat m = new(mxcsr);
        ulong r = T.Soft(ref m, f, a, b);
        raised |= m.Flags;
        return r;
    }

    public static uint Single<T>(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
        where T : struct, IFloatArithmetic
    {
        Vector128<float> a = d->AsSingle();
        Vector128<float> b = s->AsSingle();
        if ((mxcsr & 0xffe0) == 0x1fa0 && FloatElements.AllZeroOrNormal(a) && FloatElements.AllZeroOrNormal(b))
        {
            Vector128<float> r = T.Host(a, b);
            if (FloatElements.AllSafeResults(r))
            {
                *d = r.AsByte();
                return 0;
            }
        }

        uint raised = 0;
        for (int i = 0; i < 4; i++)
        {
            ((float*)d)[i] = Element<T>(a.GetElement(i), b.GetElement(i), mxcsr, ref raised);
        }

        return raised;
    }

    public static uint Double<T>(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
        where T : struct, IFloatArithmetic
    {
        Vector128<double> a = d->AsDouble();
        Vector128<double> b = s->AsDouble();
        if ((mxcsr & 0xffe0) == 0x1fa0 && FloatElements.AllZeroOrNormal(a) && FloatElements.AllZeroOrNormal(b))
        {
            Vector128<double> r = T.Host(a, b);
            if (FloatElements.AllSafeResults(r))
            {
                *d = r.AsByte();
                return 0;
            }
        }

        uint raised = 0;
        double low = Element<T>(a.GetElement(0), b.GetElement(0), mxcsr, ref raised);
        double high = Element<T>(a.GetElement(1), b.GetElement(1), mxcsr, ref raised);
        *d = Vector128.Create(low, high).AsByte();
        return raised;
    }

    public static uint ScalarSingle<T>(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
        where T : struct, IFloatArithmetic
    {
        uint raised = 0;
        *(float*)d = Element<T>(*(float*)d, *(float*)s, mxcsr, ref raised);
        return raised;
    }

    public static uint ScalarDouble<T>(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
        where T : struct, IFloatArithmetic
    {
        uint raised = 0;
        *(double*)d = Element<T>(*(double*)d, *(double*)s, mxcsr, ref raised);
        return raised;
    }

    /// <summary>HADDPS, HSUBPS: neighbours of the first operand, then of the second.</summary>
    public static uint HorizontalSingle<T>(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
        where T : struct, IFloatArithmetic
    {
        Vector128<byte> first = Sse.Shuffle(d->AsSingle(), s->AsSingle(), 0x88).AsByte();
        Vector128<byte> second = Sse.Shuffle(d->AsSingle(), s->AsSingle(), 0xdd).AsByte();
        uint raised = Single<T>(&first, &second, imm, mxcsr);
        *d = first;
        return raised;
    }

    public static uint HorizontalDouble<T>(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
        where T : struct, IFloatArithmetic
    {
        Vector128<byte> first = Sse2.UnpackLow(d->AsDouble(), s->AsDouble()).AsByte();
        Vector128<byte> second = Sse2.UnpackHigh(d->AsDouble(), s->AsDouble()).AsByte();
        uint raised = Double<T>(&first, &second, imm, mxcsr);
        *d = first;
        return raised;
    }

    public static uint Addsubps(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        uint raised = 0;
        for (int i = 0; i < 4; i += 2)
        {
            ((float*)d)[i] = Element<FloatSubtract>(((float*)d)[i], ((float*)s)[i], mxcsr, ref raised);
            ((float*)d)[i + 1] = Element<FloatAdd>(((float*)d)[i + 1], ((float*)s)[i + 1], mxcsr, ref raised);
        }

        return raised;
    }

    public static uint Addsubpd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        uint raised = 0;
        ((double*)d)[0] = Element<FloatSubtract>(((double*)d)[0], ((double*)s)[0], mxcsr, ref raised);
        ((double*)d)[1] = Element<FloatAdd>(((double*)d)[1], ((double*)s)[1], mxcsr, ref raised);
        return raised;
    }

    private static bool IsUnmasked(uint raised, uint mxcsr) => (raised & ~(mxcsr >> 7) & 0x3f) != 0;

    /// <summary>
    /// DPPS: products chosen by bits 7:4, their sum where bits 3:0 say. Each step is an operation of its own: its exceptions stay noted
    /// (<see cref="FloatExceptions.Noted"/>), and one that is not masked keeps the next step from being done.
    /// </summary>
    public static uint Dpps(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Dpps(d, s, n, mxcsr, lanes: 1);

    /// <summary>The lanes of VDPPS go through the steps together.</summary>
    public static uint Dpps(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr, int lanes)
    {
        uint products = 0;
        float* a = (float*)d;
        float* b = (float*)s;
        float* t = stackalloc float[8];
        for (int i = 0; i < lanes * 4; i++)
        {
            t[i] = (n & (16 << (i & 3))) != 0 ? Element<FloatMultiply>(a[i], b[i], mxcsr, ref products) : 0f;
        }

        if (IsUnmasked(products, mxcsr))
        {
            return products;
        }

        uint pairs = 0;
        for (int i = 0; i < lanes * 4; i += 2)
        {
            t[i] = Element<FloatAdd>(t[i], t[i + 1], mxcsr, ref pairs);
        }

        if (IsUnmasked(pairs, mxcsr))
        {
            return pairs | FloatExceptions.Noted(products);
        }

        uint raised = 0;
        for (int i = 0; i < lanes * 4; i++)
        {
            t[i & 4] = (i & 3) == 0 ? Element<FloatAdd>(t[i], t[i + 2], mxcsr, ref raised) : t[i & 4];
            a[i] = (n & (1 << (i & 3))) != 0 ? t[i & 4] : 0f;
        }

        return raised | FloatExceptions.Noted(products | pairs);
    }

    public static uint Dppd(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr)
    {
        uint products = 0;
        double* a = (double*)d;
        double* b = (double*)s;
        double low = (n & 16) != 0 ? Element<FloatMultiply>(a[0], b[0], mxcsr, ref products) : 0;
        double high = (n & 32) != 0 ? Element<FloatMultiply>(a[1], b[1], mxcsr, ref products) : 0;
        if (IsUnmasked(products, mxcsr))
        {
            return products;
        }

        uint raised = 0;
        double sum = Element<FloatAdd>(low, high, mxcsr, ref raised);
        a[0] = (n & 1) != 0 ? sum : 0;
        a[1] = (n & 2) != 0 ? sum : 0;
        return raised | FloatExceptions.Noted(products);
    }
}
