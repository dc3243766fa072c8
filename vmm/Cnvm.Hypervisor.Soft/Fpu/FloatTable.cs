using Iced.Intel;
using unsafe FloatFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, uint, uint>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>The instructions that MXCSR controls: first operand and result, second operand, immediate, MXCSR; exceptions met.</summary>
internal static unsafe class FloatTable
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static FloatFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Addps => &FloatPacked.Single<FloatAdd>,
            Mnemonic.Addpd => &FloatPacked.Double<FloatAdd>,
            Mnemonic.Addss => &FloatPacked.ScalarSingle<FloatAdd>,
            Mnemonic.Addsd => &FloatPacked.ScalarDouble<FloatAdd>,
            Mnemonic.Subps => &FloatPacked.Single<FloatSubtract>,
            Mnemonic.Subpd => &FloatPacked.Double<FloatSubtract>,
            Mnemonic.Subss => &FloatPacked.ScalarSingle<FloatSubtract>,
            Mnemonic.Subsd => &FloatPacked.ScalarDouble<FloatSubtract>,
            Mnemonic.Mulps => &FloatPacked.Single<FloatMultiply>,
            Mnemonic.Mulpd => &FloatPacked.Double<FloatMultiply>,
            Mnemonic.Mulss => &FloatPacked.ScalarSingle<FloatMultiply>,
            Mnemonic.Mulsd => &FloatPacked.ScalarDouble<FloatMultiply>,
            Mnemonic.Divps => &FloatPacked.Single<FloatDivide>,
            Mnemonic.Divpd => &FloatPacked.Double<FloatDivide>,
            Mnemonic.Divss => &FloatPacked.ScalarSingle<FloatDivide>,
            Mnemonic.Divsd => &FloatPacked.ScalarDouble<FloatDivide>,
            Mnemonic.Sqrtps => &FloatPacked.Single<FloatSquareRoot>,
            Mnemonic.Sqrtpd => &FloatPacked.Double<FloatSquareRoot>,
            Mnemonic.Sqrtss => &FloatPacked.ScalarSingle<FloatSquareRoot>,
            Mnemonic.Sqrtsd => &FloatPacked.ScalarDouble<FloatSquareRoot>,
            Mnemonic.Haddps => &FloatPacked.HorizontalSingle<FloatAdd>,
            Mnemonic.Haddpd => &FloatPacked.HorizontalDouble<FloatAdd>,
            Mnemonic.Hsubps => &FloatPacked.HorizontalSingle<FloatSubtract>,
            Mnemonic.Hsubpd => &FloatPacked.HorizontalDouble<FloatSubtract>,
            Mnemonic.Addsubps => &FloatPacked.Addsubps,
            Mnemonic.Addsubpd => &FloatPacked.Addsubpd,
            Mnemonic.Dpps => &FloatPacked.Dpps,
            Mnemonic.Dppd => &FloatPacked.Dppd,
            Mnemonic.Minps => &FloatConversions.Minps,
            Mnemonic.Minpd => &FloatConversions.Minpd,
            Mnemonic.Minss => &FloatConversions.Minss,
            Mnemonic.Minsd => &FloatConversions.Minsd,
            Mnemonic.Maxps => &FloatConversions.Maxps,
            Mnemonic.Maxpd => &FloatConversions.Maxpd,
            Mnemonic.Maxss => &FloatConversions.Maxss,
            Mnemonic.Maxsd => &FloatConversions.Maxsd,
            Mnemonic.Cmpps => &FloatConversions.Cmpps,
            Mnemonic.Cmppd => &FloatConversions.Cmppd,
            Mnemonic.Cmpss => &FloatConversions.Cmpss,
            Mnemonic.Cmpsd => &FloatConversions.Cmpsd,
            Mnemonic.Roundps => &FloatConversions.Roundps,
            Mnemonic.Roundpd => &FloatConversions.Roundpd,
            Mnemonic.Roundss => &FloatConversions.Roundss,
            Mnemonic.Roundsd => &FloatConversions.Roundsd,
            Mnemonic.Cvtdq2ps => &FloatConversions.Cvtdq2ps,
            Mnemonic.Cvtdq2pd => &FloatConversions.Cvtdq2pd,
            Mnemonic.Cvtps2pd => &FloatConversions.Cvtps2pd,
            Mnemonic.Cvtpd2ps => &FloatConversions.Cvtpd2ps,
            Mnemonic.Cvtss2sd => &FloatConversions.Cvtss2sd,
            Mnemonic.Cvtsd2ss => &FloatConversions.Cvtsd2ss,
            Mnemonic.Cvtps2dq => &FloatConversions.Cvtps2dq,
            Mnemonic.Cvttps2dq => &FloatConversions.Cvttps2dq,
            Mnemonic.Cvtpd2dq => &FloatConversions.Cvtpd2dq,
            Mnemonic.Cvttpd2dq => &FloatConversions.Cvttpd2dq,
            Mnemonic.Vcvtph2ps => &FloatConversions.Vcvtph2ps,
            Mnemonic.Vcvtps2ph => &FloatConversions.Vcvtps2ph,
            _ => null,
        };
}
