using Cnvm.Arch.Registers;

namespace Cnvm.Arch.Cpuid;

/// <summary>
/// Registers of the performance counters, which the guest's CPUID hides unless <see cref="CpuidConfig.Pmu"/> is set. A hypervisor may
/// have them none the less; a guest that found them would depend on the host's model.
/// </summary>
public static class PerformanceMsrs
{
    /// <summary>SDM vol. 4 table 2-2; APM vol. 2 appendix A. None overlaps another.</summary>
    public static IReadOnlyList<MsrRange> All { get; } =
    [
        new(0xc1, 8), // IA32_PMC0..7
        new(0x186, 8), // IA32_PERFEVTSEL0..7
        new(0x309, 4), // IA32_FIXED_CTR0..3
        new(0x345, 1), // IA32_PERF_CAPABILITIES
        new(0x38d, 4), // IA32_FIXED_CTR_CTRL to IA32_PERF_GLOBAL_OVF_CTRL
        new(0x3f1, 2), // IA32_PEBS_ENABLE, MSR_PEBS_DATA_CFG
        new(0x4c1, 8), // IA32_A_PMC0..7
        new(0xc001_0000, 8), // PERF_LEGACY_CTL0..3, PERF_LEGACY_CTR0..3
        new(0xc001_0200, 12), // PERF_CTL0..5 and PERF_CTR0..5, in turns
        new(0xc000_0300, 4), // PerfCntrGlobalStatus, GlobalCtl, GlobalStatusClr, GlobalStatusSet
    ];
}
