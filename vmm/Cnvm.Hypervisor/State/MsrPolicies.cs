namespace Cnvm.Hypervisor.State;

/// <summary>Which policy each model-specific register has (SDM vol. 4; APM vol. 2 appendix A).</summary>
public static class MsrPolicies
{
    public static MsrPolicy Of(uint index) => index switch
    {
        // Legacy machine check address and type, platform id, FEATURE_CONTROL (locked by firmware), microcode revision.
        0x0 or 0x1 or 0x17 or 0x2a or 0x3a or 0x8b => MsrPolicy.Offer,

        // Platform info, core capabilities, arch capabilities, MTRR and machine check capabilities, performance capabilities.
        0xce or 0xcf or 0x10a or 0xfe or 0x179 or 0x345 => MsrPolicy.Offer,

        // Feature enables of the host part; thermal and power registers.
        0x140 or 0x1a0 or 0x1b0 or (>= 0x198 and <= 0x19c) => MsrPolicy.Offer,

        // VMX capabilities.
        >= 0x480 and <= 0x493 => MsrPolicy.Offer,

        // Machine check banks: hardware errors of the old host.
        (>= 0x280 and <= 0x29f) or (>= 0x400 and <= 0x47f) or (>= 0xc000_2000 and <= 0xc000_2fff) => MsrPolicy.Offer,

        // Performance counters and their control; guests without a PMU never use them, others restart them.
        (>= 0xc1 and <= 0xc8) or (>= 0x186 and <= 0x18d) or (>= 0x309 and <= 0x30c) or (>= 0x38d and <= 0x391) or (>= 0x3f1 and <= 0x3f2)
            or (>= 0xc001_0000 and <= 0xc001_0007) or (>= 0xc001_0200 and <= 0xc001_020b) or (>= 0xc000_0300 and <= 0xc000_0303) => MsrPolicy.Offer,

        // SMM base and SMI count (no machine here has SMM); AMD: TSC ratio for nested guests, speculation control of hypervisors.
        0x9e or 0x34 or 0xc000_0104 or 0xc001_011f => MsrPolicy.Offer,

        // AMD: system, hardware and northbridge configuration, interrupt pending message, SMM mask, VM_CR, load-store
        // and decode configuration, IBS, OSVW.
        0xc001_0010 or 0xc001_0015 or 0xc001_001f or 0xc001_0055 or 0xc001_0058 or (>= 0xc001_0111 and <= 0xc001_0117) or 0xc001_0131
            or 0xc001_0140 or 0xc001_0141 or (>= 0xc001_1020 and <= 0xc001_103b) => MsrPolicy.Offer,

        // Hyper-V's synthetic registers: a guest is shown no Hyper-V interface.
        >= 0x4000_0000 and <= 0x4000_0fff => MsrPolicy.Offer,

        // KVM: steal time counts the old host's time; the asynchronous page fault and migration protocols start anew.
        >= 0x4b56_4d02 and <= 0x4b56_4d08 => MsrPolicy.Offer,
        _ => MsrPolicy.Preserve,
    };
}
