using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Floating-point arithmetic, computed by the host in round-to-nearest with every exception masked.</summary>
internal static unsafe class PackedFloat
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Addps => &Addps,
            Mnemonic.Addpd => &Addpd,
            Mnemonic.Addss => &Addss,
            Mnemonic.Addsd => &Addsd,
            Mnemonic.Subps => &Subps,
            Mnemonic.Subpd => &Subpd,
            Mnemonic.Subss => &Subss,
            Mnemonic.Subsd => &Subsd,
            Mnemonic.Mulps => &Mulps,
            Mnemonic.Mulpd => &Mulpd,
            Mnemonic.Mulss => &Mulss,
            Mnemonic.Mulsd => &Mulsd,
            Mnemonic.Divps => &Divps,
            Mnemonic.Divpd => &Divpd,
            Mnemonic.Divss => &Divss,
            Mnemonic.Divsd => &Divsd,
            Mnemonic.Minps => &Minps,
            Mnemonic.Minpd => &Minpd,
            Mnemonic.Minss => &Minss,
            Mnemonic.Minsd => &Minsd,
            Mnemonic.Maxps => &Maxps,
            Mnemonic.Maxpd => &Maxpd,
            Mnemonic.Maxss => &Maxss,
            Mnemonic.Maxsd => &Maxsd,
            Mnemonic.Sqrtps => &Sqrtps,
            Mnemonic.Sqrtpd => &Sqrtpd,
            Mnemonic.Sqrtss => &Sqrtss,
            Mnemonic.Sqrtsd => &Sqrtsd,
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
            Mnemonic.Haddps => &Haddps,
            Mnemonic.Haddpd => &Haddpd,
            Mnemonic.Hsubps => &Hsubps,
            Mnemonic.Hsubpd => &Hsubpd,
            Mnemonic.Addsubps => &Addsubps,
            Mnemonic.Addsubpd => &Addsubpd,
            Mnemonic.Movddup => &Movddup,
            Mnemonic.Movshdup => &Movshdup,
            Mnemonic.Movsldup => &Movsldup,
            Mnemonic.Cvtdq2ps => &Cvtdq2ps,
            Mnemonic.Cvtdq2pd => &Cvtdq2pd,
            Mnemonic.Cvtps2pd => &Cvtps2pd,
            Mnemonic.Cvtpd2ps => &Cvtpd2ps,
            Mnemonic.Cvtps2dq => &Cvtps2dq,
            Mnemonic.Cvttps2dq => &Cvttps2dq,
            Mnemonic.Cvtpd2dq => &Cvtpd2dq,
            Mnemonic.Cvttpd2dq => &Cvttpd2dq,
            Mnemonic.Cvtss2sd => &Cvtss2sd,
            Mnemonic.Cvtsd2ss => &Cvtsd2ss,
            Mnemonic.Andpd => &Andps,
            Mnemonic.Orpd => &Orps,
            Mnemonic.Xorpd => &Xorps,
            Mnemonic.Andnpd => &Andnps,
            Mnemonic.Unpcklpd => &UnpackLow64,
            Mnemonic.Unpckhpd => &UnpackHigh64,
            _ => null,
        };

    private static void Addps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Add(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Addpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Add(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Addss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.AddScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Addsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AddScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Subps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Subtract(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Subpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Subtract(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Subss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.SubtractScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Subsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SubtractScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Mulps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Multiply(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Mulpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Multiply(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Mulss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.MultiplyScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Mulsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MultiplyScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Divps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Divide(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Divpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Divide(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Divss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.DivideScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Divsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.DivideScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Minps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Min(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Minpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Min(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Minss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.MinScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Minsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MinScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Maxps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Max(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Maxpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Max(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Maxss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.MaxScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Maxsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MaxScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Sqrtps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Sqrt(s->AsSingle()).AsByte();

    private static void Sqrtpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Sqrt(s->AsDouble()).AsByte();

    private static void Sqrtss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.SqrtScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Sqrtsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SqrtScalar(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Rcpps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.Reciprocal(s->AsSingle()).AsByte();

    private static void Rcpss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.ReciprocalScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Rsqrtps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.ReciprocalSqrt(s->AsSingle()).AsByte();

    private static void Rsqrtss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.ReciprocalSqrtScalar(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Andps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d & *s;

    private static void Orps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d | *s;

    private static void Xorps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d ^ *s;

    private static void Andnps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AndNot(*d, *s);

    private static void Unpcklps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.UnpackLow(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Unpckhps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse.UnpackHigh(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Haddps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.HorizontalAdd(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Haddpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.HorizontalAdd(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Hsubps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.HorizontalSubtract(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Hsubpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.HorizontalSubtract(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Addsubps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.AddSubtract(d->AsSingle(), s->AsSingle()).AsByte();

    private static void Addsubpd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.AddSubtract(d->AsDouble(), s->AsDouble()).AsByte();

    private static void Movddup(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.MoveAndDuplicate(s->AsDouble()).AsByte();

    private static void Movshdup(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.MoveHighAndDuplicate(s->AsSingle()).AsByte();

    private static void Movsldup(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse3.MoveLowAndDuplicate(s->AsSingle()).AsByte();

    private static void Cvtdq2ps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Single(s->AsInt32()).AsByte();

    private static void Cvtdq2pd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Double(s->AsInt32()).AsByte();

    private static void Cvtps2pd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Double(s->AsSingle()).AsByte();

    private static void Cvtpd2ps(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Single(s->AsDouble()).AsByte();

    private static void Cvtps2dq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Int32(s->AsSingle()).AsByte();

    private static void Cvttps2dq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Int32WithTruncation(s->AsSingle()).AsByte();

    private static void Cvtpd2dq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Int32(s->AsDouble()).AsByte();

    private static void Cvttpd2dq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertToVector128Int32WithTruncation(s->AsDouble()).AsByte();

    private static void Cvtss2sd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertScalarToVector128Double(d->AsDouble(), s->AsSingle()).AsByte();

    private static void Cvtsd2ss(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ConvertScalarToVector128Single(d->AsSingle(), s->AsDouble()).AsByte();

    private static void UnpackLow64(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackLow(d->AsUInt64(), s->AsUInt64()).AsByte();

    private static void UnpackHigh64(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackHigh(d->AsUInt64(), s->AsUInt64()).AsByte();
}
