using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>Which instructions are generated.</summary>
internal sealed partial class CaseGenerator
{
    /// <summary>
    /// Left out: what leaves user code or depends on the machine around the processor; x87 instructions whose image holds instruction
    /// pointers, and those that no two processors compute alike.
    /// </summary>
    private static readonly HashSet<Mnemonic> Skipped =
    [
        Mnemonic.Call, Mnemonic.Ret, Mnemonic.Jmp, Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3, Mnemonic.Into, Mnemonic.Hlt,
        Mnemonic.In, Mnemonic.Out,
        Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd, Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd, Mnemonic.Cpuid, Mnemonic.Rdtsc,
        Mnemonic.Rdtscp,
        Mnemonic.Rdpmc, Mnemonic.Rdrand, Mnemonic.Rdseed, Mnemonic.Syscall, Mnemonic.Sysenter, Mnemonic.Sysret, Mnemonic.Sysexit,
        Mnemonic.Sysretq,
        Mnemonic.Sysexitq, Mnemonic.Cli, Mnemonic.Sti, Mnemonic.Mwait, Mnemonic.Monitor, Mnemonic.Rsm, Mnemonic.Iret, Mnemonic.Iretd,
        Mnemonic.Iretq,
        Mnemonic.Retf, Mnemonic.Swapgs, Mnemonic.Clts, Mnemonic.Wbinvd, Mnemonic.Invd, Mnemonic.Rdmsr, Mnemonic.Wrmsr, Mnemonic.Rdpid,
        Mnemonic.Xgetbv,
        Mnemonic.Xsetbv, Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Sldt, Mnemonic.Str, Mnemonic.Smsw,
        Mnemonic.Sgdt, Mnemonic.Sidt,
        Mnemonic.Lss, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Bound, Mnemonic.Popf, Mnemonic.Popfq, Mnemonic.Pushf, Mnemonic.Pushfq,
        Mnemonic.Fxsave,
        Mnemonic.Fxsave64, Mnemonic.Fxrstor, Mnemonic.Fxrstor64, Mnemonic.Fnstenv, Mnemonic.Fldenv, Mnemonic.Fnsave, Mnemonic.Frstor,
        Mnemonic.Fsin, Mnemonic.Fcos, Mnemonic.Fsincos, Mnemonic.Fptan, Mnemonic.Fpatan, Mnemonic.F2xm1, Mnemonic.Fyl2x, Mnemonic.Fyl2xp1,
        Mnemonic.Rdfsbase, Mnemonic.Rdgsbase, Mnemonic.Wrfsbase, Mnemonic.Wrgsbase, Mnemonic.Vmcall, Mnemonic.Vmmcall, Mnemonic.Ud0,
        Mnemonic.Fstdw, Mnemonic.Fstsg, Mnemonic.Frstpm, Mnemonic.Fsetpm, Mnemonic.Fdisi, Mnemonic.Feni, Mnemonic.Fndisi, Mnemonic.Fneni,
        Mnemonic.Fnsetpm,
    ];

    private static readonly HashSet<CpuidFeature> IntegerFeatures =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486,
        CpuidFeature.CMOV, CpuidFeature.X64,
        CpuidFeature.BMI1, CpuidFeature.BMI2, CpuidFeature.POPCNT, CpuidFeature.LZCNT, CpuidFeature.MOVBE, CpuidFeature.ADX,
        CpuidFeature.CX8,
        CpuidFeature.CMPXCHG16B,
    ];

    private static readonly HashSet<CpuidFeature> SseFeatures =
    [
        CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSSE3, CpuidFeature.SSE4_1,
        CpuidFeature.SSE4_2,
        CpuidFeature.AES, CpuidFeature.PCLMULQDQ,
    ];

    private static readonly HashSet<CpuidFeature> AvxFeatures =
        [CpuidFeature.AVX, CpuidFeature.AVX2, CpuidFeature.FMA, CpuidFeature.F16C, CpuidFeature.AES, CpuidFeature.PCLMULQDQ];

    private static readonly HashSet<CpuidFeature> X87Features = [CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387,
        CpuidFeature.CMOV, CpuidFeature.SSE3];

    private static readonly Code[] IntegerCodes = [.. Select(IntegerFeatures,
        static i => i.Encoding is EncodingKind.Legacy or EncodingKind.VEX)];
    private static readonly Code[] SseCodes = [.. Select(SseFeatures, static i => i.Encoding == EncodingKind.Legacy)];
    private static readonly Code[] AvxCodes = [.. Select(AvxFeatures, static i => i.Encoding == EncodingKind.VEX)];
    private static readonly Code[] X87Codes =
        [.. Select(X87Features, static i => i.Mnemonic.ToString().StartsWith('F') || i.Mnemonic == Mnemonic.Wait)];

    private static readonly Code[] StringCodes =
    [
        Code.Movsb_m8_m8, Code.Movsw_m16_m16, Code.Movsd_m32_m32, Code.Movsq_m64_m64, Code.Stosb_m8_AL, Code.Stosw_m16_AX,
        Code.Stosd_m32_EAX,
        Code.Stosq_m64_RAX, Code.Lodsb_AL_m8, Code.Lodsw_AX_m16, Code.Lodsd_EAX_m32, Code.Lodsq_RAX_m64, Code.Scasb_AL_m8,
        Code.Scasw_AX_m16,
        Code.Scasd_EAX_m32, Code.Scasq_RAX_m64, Code.Cmpsb_m8_m8, Code.Cmpsw_m16_m16, Code.Cmpsd_m32_m32, Code.Cmpsq_m64_m64,
    ];

    private static readonly Code[] StateCodes =
        [Code.Xsave_mem, Code.Xsave64_mem, Code.Xsaveopt_mem, Code.Xsavec_mem, Code.Xrstor_mem, Code.Xrstor64_mem, Code.Ldmxcsr_m32,
            Code.Stmxcsr_m32];

    public static int CodeCount => IntegerCodes.Length + SseCodes.Length + AvxCodes.Length + X87Codes.Length + StringCodes.Length + StateCodes.Length;

    private static IEnumerable<Code> Select(HashSet<CpuidFeature> features, Func<OpCodeInfo, bool> also)
    {
        foreach (Code code in Enum.GetValues<Code>())
        {
            OpCodeInfo info = code.ToOpCode();
            if (info.Mode64 && info.IsInstruction && !info.IsPrivileged && !Skipped.Contains(info.Mnemonic)
                && code.CpuidFeatures().All(features.Contains) && info.Encoding is EncodingKind.Legacy or EncodingKind.VEX
                && code.FlowControl() is FlowControl.Next or FlowControl.Exception && also(info) && !code.IsFstenvLike()
                && Enumerable.Range(0, info.OpCount).All(i => IsKnown(info.GetOpKind(i))))
            {
                yield return code;
            }
        }
    }

    private static bool IsKnown(OpCodeOperandKind k) => k is not (OpCodeOperandKind.seg_reg or OpCodeOperandKind.cr_reg
        or OpCodeOperandKind.dr_reg
        or OpCodeOperandKind.tr_reg or OpCodeOperandKind.farbr2_2 or OpCodeOperandKind.farbr4_2 or OpCodeOperandKind.es_rDI
        or OpCodeOperandKind.seg_rSI or OpCodeOperandKind.br16_1 or OpCodeOperandKind.br32_1 or OpCodeOperandKind.br64_1
        or OpCodeOperandKind.br16_2 or OpCodeOperandKind.br32_4 or OpCodeOperandKind.br64_4 or OpCodeOperandKind.xbegin_2
        or OpCodeOperandKind.xbegin_4 or OpCodeOperandKind.es or OpCodeOperandKind.cs or OpCodeOperandKind.ss or OpCodeOperandKind.ds
        or OpCodeOperandKind.fs or OpCodeOperandKind.gs or OpCodeOperandKind.mem_offs or OpCodeOperandKind.seg_rBX_al);
}

internal static class CodeKinds
{
    /// <summary>Stores of x87 environments, in every form and under every alias.</summary>
    public static bool IsFstenvLike(this Code code) => code.ToString() is { } s
        && (s.StartsWith("Fstenv", StringComparison.Ordinal) || s.StartsWith("Fsave", StringComparison.Ordinal));
}
