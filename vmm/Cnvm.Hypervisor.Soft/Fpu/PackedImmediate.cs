using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Instructions with an immediate, and those that select by XMM0 (passed in place of the immediate by the caller).</summary>
internal static unsafe class PackedImmediate
{
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Psllw => &Psllw,
            Mnemonic.Pslld => &Pslld,
            Mnemonic.Psllq => &Psllq,
            Mnemonic.Psrlw => &Psrlw,
            Mnemonic.Psrld => &Psrld,
            Mnemonic.Psrlq => &Psrlq,
            Mnemonic.Psraw => &Psraw,
            Mnemonic.Psrad => &Psrad,
            Mnemonic.Pslldq => &Pslldq,
            Mnemonic.Psrldq => &Psrldq,
            Mnemonic.Pshufd => &Pshufd,
            Mnemonic.Pshuflw => &Pshuflw,
            Mnemonic.Pshufhw => &Pshufhw,
            Mnemonic.Shufps => &Shufps,
            Mnemonic.Shufpd => &Shufpd,
            Mnemonic.Palignr => &Palignr,
            Mnemonic.Blendps => &Blendps,
            Mnemonic.Blendpd => &Blendpd,
            Mnemonic.Pblendw => &Pblendw,
            Mnemonic.Mpsadbw => &Mpsadbw,
            Mnemonic.Insertps => &Insertps,
            Mnemonic.Pclmulqdq => &Pclmulqdq,
            Mnemonic.Aeskeygenassist when Aes.IsSupported => &Aeskeygenassist,
            _ => null,
        };

    private static Vector128<byte> Count(int n) => Vector128.CreateScalar((ulong)n).AsByte();

    private static void Psllw(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftLeftLogical(d->AsInt16(),
        Count(n).AsInt16()).AsByte();

    private static void Pslld(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftLeftLogical(d->AsInt32(),
        Count(n).AsInt32()).AsByte();

    private static void Psllq(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftLeftLogical(d->AsInt64(),
        Count(n).AsInt64()).AsByte();

    private static void Psrlw(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftRightLogical(d->AsInt16(),
        Count(n).AsInt16()).AsByte();

    private static void Psrld(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftRightLogical(d->AsInt32(),
        Count(n).AsInt32()).AsByte();

    private static void Psrlq(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftRightLogical(d->AsInt64(),
        Count(n).AsInt64()).AsByte();

    private static void Psraw(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftRightArithmetic(d->AsInt16(),
        Count(n).AsInt16()).AsByte();

    private static void Psrad(Vector128<byte>* d, Vector128<byte>* s, int n) => *d = Sse2.ShiftRightArithmetic(d->AsInt32(),
        Count(n).AsInt32()).AsByte();

    private static void Pslldq(Vector128<byte>* d, Vector128<byte>* s,
        int n) => *(UInt128*)d = n > 15 ? UInt128.Zero : *(UInt128*)d << (n * 8);

    private static void Psrldq(Vector128<byte>* d, Vector128<byte>* s,
        int n) => *(UInt128*)d = n > 15 ? UInt128.Zero : *(UInt128*)d >> (n * 8);

    private static void Pshufd(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        uint* p = (uint*)s;
        *d = Vector128.Create(p[n & 3], p[(n >> 2) & 3], p[(n >> 4) & 3], p[(n >> 6) & 3]).AsByte();
    }

    private static void Pshuflw(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        ushort* p = (ushort*)s;
        *d = Vector128.Create(p[n & 3], p[(n >> 2) & 3], p[(n >> 4) & 3], p[(n >> 6) & 3], p[4], p[5], p[6], p[7]).AsByte();
    }

    private static void Pshufhw(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        ushort* p = (ushort*)s;
        ushort* h = p + 4;
        *d = Vector128.Create(p[0], p[1], p[2], p[3], h[n & 3], h[(n >> 2) & 3], h[(n >> 4) & 3], h[(n >> 6) & 3]).AsByte();
    }

    private static void Shufps(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        uint* a = (uint*)d;
        uint* b = (uint*)s;
        *d = Vector128.Create(a[n & 3], a[(n >> 2) & 3], b[(n >> 4) & 3], b[(n >> 6) & 3]).AsByte();
    }

    private static void Shufpd(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        ulong* a = (ulong*)d;
        ulong* b = (ulong*)s;
        *d = Vector128.Create(a[n & 1], b[(n >> 1) & 1]).AsByte();
    }

    private static void Palignr(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        Vector128<byte>* pair = stackalloc Vector128<byte>[4];
        pair[0] = *s;
        pair[1] = *d;
        pair[2] = pair[3] = default;
        *d = Vector128.Load((byte*)pair + Math.Min(n, 32));
    }

    private static void Blend(byte* d, byte* s, int mask, int size)
    {
        for (int i = 0; i < 16 / size; i++)
        {
            if ((mask & (1 << i)) != 0)
            {
                Buffer.MemoryCopy(s + (i * size), d + (i * size), size, size);
            }
        }
    }

    private static void Blendps(Vector128<byte>* d, Vector128<byte>* s, int n) => Blend((byte*)d, (byte*)s, n, 4);

    private static void Blendpd(Vector128<byte>* d, Vector128<byte>* s, int n) => Blend((byte*)d, (byte*)s, n, 8);

    private static void Pblendw(Vector128<byte>* d, Vector128<byte>* s, int n) => Blend((byte*)d, (byte*)s, n, 2);

    private static void Mpsadbw(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        byte* a = (byte*)d + ((n & 4) != 0 ? 4 : 0);
        byte* b = (byte*)s + ((n & 3) * 4);
        ushort* r = stackalloc ushort[8];
        for (int i = 0; i < 8; i++)
        {
            int sum = 0;
            for (int k = 0; k < 4; k++)
            {
                sum += Math.Abs(a[i + k] - b[k]);
            }

            r[i] = (ushort)sum;
        }

        *d = *(Vector128<byte>*)r;
    }

    private static void Insertps(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        uint* a = (uint*)d;
        a[(n >> 4) & 3] = ((uint*)s)[(n >> 6) & 3];
        for (int i = 0; i < 4; i++)
        {
            if ((n & (1 << i)) != 0)
            {
                a[i] = 0;
            }
        }
    }

    private static void Pclmulqdq(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        ulong a = ((ulong*)d)[n & 1];
        ulong b = ((ulong*)s)[(n >> 4) & 1];
        UInt128 r = 0;
        for (; b != 0; b &= b - 1)
        {
            r ^= (UInt128)a << BitOperations.TrailingZeroCount(b);
        }

        *(UInt128*)d = r;
    }

    private static void Aeskeygenassist(Vector128<byte>* d, Vector128<byte>* s, int n)
    {
        // With a constant of zero the host's instruction gives the substitution; the round constant goes into words 1 and 3.
        *d = Aes.IsSupported ? Aes.KeygenAssist(*s, 0) ^ Vector128.Create(0u, (uint)n, 0u, (uint)n).AsByte() : *d;
    }
}
