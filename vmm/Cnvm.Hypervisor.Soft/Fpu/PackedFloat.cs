using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Logic, shuffles and approximations of floating-point registers: what MXCSR has no say in.</summary>
internal static unsafe class PackedFloat
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Rcpps => &Rcpps,
            Mnemonic.Rcpss => &Rcpss,
            Mnemonic.Rsqrtps => &Rsqrtps,
            Mnemonic.Rsqrtss => &Rsqrtss,
            Mnemonic.Andps => &Andps,
            Mnemonic.Orps => &Orps,
            Mnemonic.Xorps => &Xorps,
            Mnemonic.Andnps => &Andnps,
            Mnemonic.Unpcklps => &Unpcklps,
            Mnemonic.Unpckhps => &Unpckhps,
            Mnemonic.Movddup => &Movddup,
            Mnemonic.Movshdup => &Movshdup,
            Mnemonic.Movsldup => &Movsldup,
            Mnemonic.Andpd => &Andps,
            Mnemonic.Orpd => &Orps,
            Mnemonic.Xorpd => &Xorps,
            Mnemonic.Andnpd => &Andnps,
            Mnemonic.Unpcklpd => &UnpackLow64,
            Mnemonic.Unpckhpd => &UnpackHigh64,
            _ => null,
        };

    private static void Rcpps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Reciprocal(s->AsSingle()).AsByte();

    private static void Rcpss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.ReciprocalScalar(d->AsSingle(),
        s->AsSingle()).AsByte();

    private static void Rsqrtps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.ReciprocalSqrt(s->AsSingle()).AsByte();

    private static void Rsqrtss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.ReciprocalSqrtScalar(d->AsSingle(),
        s->AsSingle()).AsByte();

    private static void Andps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d & *s;

    private static void Orps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d | *s;

    private static void Xorps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d ^ *s;

    private static void Andnps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AndNot(*d, *s);

    private static void Unpcklps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.UnpackLow(d->AsSingle(),
        s->AsSingle()).AsByte();

    private static void Unpckhps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.UnpackHigh(d->AsSingle(),
        s->AsSingle()).AsByte();

    private static void Movddup(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.MoveAndDuplicate(s->AsDouble()).AsByte();

    private static void Movshdup(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.MoveHighAndDuplicate(s->AsSingle()).AsByte();

    private static void Movsldup(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.MoveLowAndDuplicate(s->AsSingle()).AsByte();

    private static void UnpackLow64(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackLow(d->AsUInt64(),
        s->AsUInt64()).AsByte();

    private static void UnpackHigh64(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackHigh(d->AsUInt64(),
        s->AsUInt64()).AsByte();
}
