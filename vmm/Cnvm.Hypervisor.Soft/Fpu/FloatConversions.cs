using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Minimum, maximum, comparison, rounding and conversion on 128 bits. Each returns the exceptions that it met.</summary>
internal static unsafe class FloatConversions
{
    private static ulong Get(FloatFormat f, void* p, int i) => f == FloatFormat.Single ? ((uint*)p)[i] : ((ulong*)p)[i];

    private static void Put(FloatFormat f, void* p, int i, ulong v)
    {
        if (f == FloatFormat.Single)
        {
            ((uint*)p)[i] = (uint)v;
        }
        else
        {
            ((ulong*)p)[i] = v;
        }
    }

    private static uint Extreme(FloatFormat f, void* d, void* s, int count, bool max, uint mxcsr)
    {
        SoftFloat m = new(mxcsr);
        for (int i = 0; i < count; i++)
        {
            Put(f, d, i, m.Extreme(f, Get(f, d, i), Get(f, s, i), max));
        }

        return m.Flags;
    }

    private static bool IsPlain(FloatFormat f, Vector128<byte>* d, Vector128<byte>* s) =>
        f == FloatFormat.Single
            ? FloatElements.AllZeroOrNormal(d->AsSingle()) && FloatElements.AllZeroOrNormal(s->AsSingle())
            : FloatElements.AllZeroOrNormal(d->AsDouble()) && FloatElements.AllZeroOrNormal(s->AsDouble());

    public static uint Minps(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        if (!IsPlain(FloatFormat.Single, d, s))
        {
            return Extreme(FloatFormat.Single, d, s, 4, max: false, mxcsr);
        }

        *d = Sse.Min(d->AsSingle(), s->AsSingle()).AsByte();
        return 0;
    }

    public static uint Maxps(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        if (!IsPlain(FloatFormat.Single, d, s))
        {
            return Extreme(FloatFormat.Single, d, s, 4, max: true, mxcsr);
        }

        *d = Sse.Max(d->AsSingle(), s->AsSingle()).AsByte();
        return 0;
    }

    public static uint Minpd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        if (!IsPlain(FloatFormat.Double, d, s))
        {
            return Extreme(FloatFormat.Double, d, s, 2, max: false, mxcsr);
        }

        *d = Sse2.Min(d->AsDouble(), s->AsDouble()).AsByte();
        return 0;
    }

    public static uint Maxpd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        if (!IsPlain(FloatFormat.Double, d, s))
        {
            return Extreme(FloatFormat.Double, d, s, 2, max: true, mxcsr);
        }

        *d = Sse2.Max(d->AsDouble(), s->AsDouble()).AsByte();
        return 0;
    }

    public static uint Minss(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) =>
        Extreme(FloatFormat.Single, d, s, 1, max: false, mxcsr);

    public static uint Maxss(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) =>
        Extreme(FloatFormat.Single, d, s, 1, max: true, mxcsr);

    public static uint Minsd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) =>
        Extreme(FloatFormat.Double, d, s, 1, max: false, mxcsr);

    public static uint Maxsd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) =>
        Extreme(FloatFormat.Double, d, s, 1, max: true, mxcsr);

    /// <summary>The 32 predicates of VCMPPS (SDM vol. 2 table 3-1); the legacy forms have the first eight.</summary>
    private static uint Compare(FloatFormat f, void* d, void* s, int count, int predicate, uint mxcsr)
    {
        // Predicates with bits 0001, 0010 (mod 4, bit 4 inverting) signal quiet NaNs; the rest do not.
        bool ordered = (predicate & 3) is 1 or 2;
        bool signaling = ordered != ((predicate & 16) != 0);
        SoftFloat m = new(mxcsr);
        for (int i = 0; i < count; i++)
        {
            int order = m.Compare(f, Get(f, d, i), Get(f, s, i), signaling);
            bool less = order == -1;
            bool equal = order == 0;
            bool unordered = order == 2;
            bool r = (predicate & 15) switch
            {
                0 => equal,
                1 => less,
                2 => less || equal,
                3 => unordered,
                4 => !equal,
                5 => !less,
                6 => !(less || equal),
                7 => !unordered,
                8 => equal || unordered,
                9 => less || unordered,
                10 => less || equal || unordered,
                11 => false,
                12 => !equal && !unordered,
                13 => !less && !unordered,
                14 => order == 1,
                _ => true,
            };
            Put(f, d, i, r ? ulong.MaxValue : 0);
        }

        return m.Flags;
    }

    public static uint Cmpps(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Compare(FloatFormat.Single, d, s, 4, n, mxcsr);

    public static uint Cmppd(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Compare(FloatFormat.Double, d, s, 2, n, mxcsr);

    public static uint Cmpss(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Compare(FloatFormat.Single, d, s, 1, n, mxcsr);

    public static uint Cmpsd(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Compare(FloatFormat.Double, d, s, 1, n, mxcsr);

    private static uint Round(FloatFormat f, void* d, void* s, int count, int control, uint mxcsr)
    {
        SoftFloat m = new(mxcsr);
        for (int i = 0; i < count; i++)
        {
            Put(f, d, i, m.RoundToIntegral(f, Get(f, s, i), control));
        }

        return m.Flags;
    }

    public static uint Roundps(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Round(FloatFormat.Single, d, s, 4, n, mxcsr);

    public static uint Roundpd(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Round(FloatFormat.Double, d, s, 2, n, mxcsr);

    public static uint Roundss(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Round(FloatFormat.Single, d, s, 1, n, mxcsr);

    public static uint Roundsd(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr) => Round(FloatFormat.Double, d, s, 1, n, mxcsr);

    public static uint Cvtdq2ps(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        SoftFloat m = new(mxcsr);
        for (int i = 0; i < 4; i++)
        {
            ((uint*)d)[i] = (uint)m.FromInteger(FloatFormat.Single, ((int*)s)[i]);
        }

        return m.Flags;
    }

    public static uint Cvtdq2pd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        *d = Sse2.ConvertToVector128Double(s->AsInt32()).AsByte();
        return 0;
    }

    public static uint Cvtps2pd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        SoftFloat m = new(mxcsr);
        ulong low = m.Convert(FloatFormat.Single, FloatFormat.Double, ((uint*)s)[0]);
        ulong high = m.Convert(FloatFormat.Single, FloatFormat.Double, ((uint*)s)[1]);
        *d = Vector128.Create(low, high).AsByte();
        return m.Flags;
    }

    public static uint Cvtpd2ps(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        SoftFloat m = new(mxcsr);
        uint low = (uint)m.Convert(FloatFormat.Double, FloatFormat.Single, ((ulong*)s)[0]);
        uint high = (uint)m.Convert(FloatFormat.Double, FloatFormat.Single, ((ulong*)s)[1]);
        *d = Vector128.Create(low, high, 0, 0).AsByte();
        return m.Flags;
    }

    public static uint Cvtss2sd(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        float v = *(float*)s;
        if (FloatElements.IsZeroOrNormal(v))
        {
            *(double*)d = v;
            return 0;
        }

        SoftFloat m = new(mxcsr);
        *(ulong*)d = m.Convert(FloatFormat.Single, FloatFormat.Double, *(uint*)s);
        return m.Flags;
    }

    public static uint Cvtsd2ss(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        double v = *(double*)s;
        float r = (float)v;
        if (FloatElements.IsPlainControl(mxcsr) && FloatElements.IsSafeResult(r))
        {
            *(float*)d = r;
            return r == v ? 0 : SoftFloat.Inexact;
        }

        SoftFloat m = new(mxcsr);
        *(uint*)d = (uint)m.Convert(FloatFormat.Double, FloatFormat.Single, *(ulong*)s);
        return m.Flags;
    }

    private static uint ToInt32(Vector128<byte>* d, Vector128<byte>* s, bool wide, bool truncate, uint mxcsr)
    {
        SoftFloat m = new(mxcsr);
        uint* r = stackalloc uint[4];
        for (int i = 0; i < (wide ? 2 : 4); i++)
        {
            FloatFormat f = wide ? FloatFormat.Double : FloatFormat.Single;
            r[i] = (uint)m.ToInteger(f, Get(f, s, i), 32, truncate);
        }

        if (wide)
        {
            r[2] = r[3] = 0;
        }

        *d = *(Vector128<byte>*)r;
        return m.Flags;
    }

    public static uint Cvtps2dq(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) => ToInt32(d, s, wide: false,
        truncate: false, mxcsr);

    public static uint Cvttps2dq(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) => ToInt32(d, s, wide: false,
        truncate: true, mxcsr);

    public static uint Cvtpd2dq(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) => ToInt32(d, s, wide: true,
        truncate: false, mxcsr);

    public static uint Cvttpd2dq(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr) => ToInt32(d, s, wide: true,
        truncate: true, mxcsr);

    /// <summary>VCVTPH2PS: four half-precision numbers in the low 64 bits.</summary>
    public static uint Vcvtph2ps(Vector128<byte>* d, Vector128<byte>* s, int imm, uint mxcsr)
    {
        SoftFloat m = new(mxcsr & ~SoftFloat.DenormalsAreZero);
        uint* r = stackalloc uint[4];
        for (int i = 0; i < 4; i++)
        {
            r[i] = (uint)m.Convert(FloatFormat.Half, FloatFormat.Single, ((ushort*)s)[i]);
        }

        *d = *(Vector128<byte>*)r;
        return m.Flags;
    }

    /// <summary>VCVTPS2PH: four numbers to half precision in the low 64 bits; bit 2 of the immediate: MXCSR's rounding, else bits
    /// 1:0.</summary>
    public static uint Vcvtps2ph(Vector128<byte>* d, Vector128<byte>* s, int n, uint mxcsr)
    {
        SoftFloat m = new((n & 4) != 0 ? mxcsr : (mxcsr & ~0x6000u) | ((uint)(n & 3) << 13));
        ushort* r = stackalloc ushort[8];
        for (int i = 0; i < 4; i++)
        {
            r[i] = (ushort)m.Convert(FloatFormat.Single, FloatFormat.Half, ((uint*)s)[i]);
            r[i + 4] = 0;
        }

        *d = *(Vector128<byte>*)r;
        return m.Flags;
    }
}
