namespace Cnvm.Arch.Cpuid;

/// <summary>
/// The profiles that come with cnvm: the levels of the x86-64 psABI (§3.1.1, "Micro-Architecture Feature Levels") and what a kernel needs
/// beside them. What a level does not name is hidden, mitigations for one host's flaws included.
/// </summary>
public static class CpuModelProfiles
{
    // Leaf 1 EDX: fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clfsh mmx fxsr sse sse2. Not vme: 64-bit kernels
    // have no use for it, and some hosts lack it.
    private const uint BaseEdx1 = 0x078b_fbfd;

    // 0x80000001 EDX: syscall, nx, lm. The bits that AMD repeats from leaf 1 follow the vendor and are left.
    private const uint SyscallNxLm = (1u << 11) | (1u << 20) | (1u << 29);
    private const uint RepeatedEdx = 0x0183_f3ff;

    // What hypervisors emulate anywhere: x2apic, tsc-deadline, hypervisor. The model sets them, so they are left here.
    private const uint EmulatedEcx1 = (1u << 21) | (1u << 24) | (1u << 31);

    // sse3, ssse3, cx16, sse4.1, sse4.2, popcnt.
    private const uint Ecx1V2 = (1u << 0) | (1u << 9) | (1u << 13) | (1u << 19) | (1u << 20) | (1u << 23);

    // fma, movbe, xsave, avx, f16c.
    private const uint Ecx1V3 = Ecx1V2 | (1u << 12) | (1u << 22) | (1u << 26) | (1u << 28) | (1u << 29);

    // bmi1, avx2, bmi2.
    private const uint Ebx7V3 = (1u << 3) | (1u << 5) | (1u << 8);

    // avx512f, avx512dq, avx512cd, avx512bw, avx512vl.
    private const uint Ebx7V4 = Ebx7V3 | (1u << 16) | (1u << 17) | (1u << 28) | (1u << 30) | (1u << 31);

    private const uint Lahf = 1u << 0;
    private const uint Lzcnt = 1u << 5;

    // KVM's interface: both clocks, no I/O delay, a clock that is steady over all vCPUs.
    private const uint KvmFeatures = (1u << 0) | (1u << 1) | (1u << 3) | (1u << 24);

    /// <summary>Names that <see cref="TryGet"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } = ["Host", "x86-64-v2", "x86-64-v3", "x86-64-v4"];

    /// <summary>A profile by its name; false if there is none.</summary>
    public static bool TryGet(string name, out CpuModelProfile profile)
    {
        profile = name switch
        {
            "Host" or "host" => CpuModelProfile.Host,
            "x86-64-v2" => Level(name, Ecx1V2, 0, Lahf, 3),
            "x86-64-v3" => Level(name, Ecx1V3, Ebx7V3, Lahf | Lzcnt, 7),
            "x86-64-v4" => Level(name, Ecx1V3, Ebx7V4, Lahf | Lzcnt, 0xe7),
            _ => CpuModelProfile.Host,
        };
        return name is "host" || Names.Contains(name);
    }

    private static CpuModelProfile Level(string name, uint ecx1, uint ebx7, uint ecxExtended, uint components) => new()
    {
        Name = name,
        KnownLeavesOnly = true,
        PhysicalBits = 40,
        Cpuid =
        [
            new(1, 0, CpuidRegister.Ecx, Except(EmulatedEcx1, ecx1)),
            new(1, 0, CpuidRegister.Edx, TriStateMask.Exactly(BaseEdx1)),
            new(6, 0, CpuidRegister.Eax, Except(1u << 2, 0)),
            new(6, 0, CpuidRegister.Ebx, TriStateMask.Exactly(0)),
            new(6, 0, CpuidRegister.Ecx, TriStateMask.Exactly(0)),
            new(7, 0, CpuidRegister.Eax, TriStateMask.Exactly(0)),
            new(7, 0, CpuidRegister.Ebx, TriStateMask.Exactly(ebx7)),
            new(7, 0, CpuidRegister.Ecx, TriStateMask.Exactly(0)),
            new(7, 0, CpuidRegister.Edx, TriStateMask.Exactly(0)),
            new(0xd, 0, CpuidRegister.Eax, Except(components, 0)),
            new(0xd, 0, CpuidRegister.Edx, TriStateMask.Exactly(0)),
            new(0xd, 1, CpuidRegister.Eax, TriStateMask.Exactly(0)),
            new(0xd, 1, CpuidRegister.Ecx, TriStateMask.Exactly(0)),
            new(0xd, 1, CpuidRegister.Edx, TriStateMask.Exactly(0)),
            new(0x4000_0001, 0, CpuidRegister.Eax, Except(KvmFeatures, 0)),
            new(0x4000_0001, 0, CpuidRegister.Edx, TriStateMask.Exactly(0)),
            new(0x8000_0001, 0, CpuidRegister.Ecx, TriStateMask.Exactly(ecxExtended)),
            new(0x8000_0001, 0, CpuidRegister.Edx, Except(RepeatedEdx, SyscallNxLm)),
            // No promise that the TSC is steady, which the next host may not keep: Linux then takes kvmclock, which moves with the guest.
            new(0x8000_0007, 0, CpuidRegister.Edx, TriStateMask.Exactly(0)),
            new(0x8000_0008, 0, CpuidRegister.Ebx, TriStateMask.Exactly(0)),
        ],
    };

    /// <summary>These bits are demanded, <paramref name="left"/> stay as the host has them, all others are cleared.</summary>
    private static TriStateMask Except(uint left, uint demanded) => new(~left & uint.MaxValue, demanded);
}
