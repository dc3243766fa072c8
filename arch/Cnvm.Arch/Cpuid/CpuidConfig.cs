using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Cpuid;

/// <summary>What of the hypervisor's CPUID a guest is to see.</summary>
public sealed record CpuidConfig
{
    /// <summary>Grouping of the vCPUs.</summary>
    public required CpuTopology Topology { get; init; }

    /// <summary>Physical address bits; see <see cref="CpuidModel.PhysicalBits"/>.</summary>
    public required int PhysicalBits { get; init; }

    /// <summary>Processor brand, at most 47 ASCII characters; null keeps the host's.</summary>
    public string? BrandString { get; init; }

    /// <summary>Features to hide.</summary>
    public IReadOnlyList<CpuidMask> Masks { get; init; } = [];

    /// <summary>Which processor the guest is shown; what is demanded has been checked with <see cref="CpuidModel.MissingFor"/>.</summary>
    public CpuModelProfile Profile { get; init; } = CpuModelProfile.Host;

    /// <summary>Whether the guest may run guests of its own (VMX, SVM).</summary>
    public bool Nested { get; init; }

    /// <summary>Whether the local APIC has x2APIC mode; needed above 254 vCPUs.</summary>
    public bool X2Apic { get; init; } = true;

    /// <summary>Whether the local APIC timer has TSC-deadline mode. Hypervisors report it apart from their supported CPUID.</summary>
    public bool TscDeadline { get; init; } = true;

    /// <summary>Whether the guest sees performance counters.</summary>
    public bool Pmu { get; init; }

    /// <summary>Whether the guest sees AMX. The host process needs the kernel's permission for it.</summary>
    public bool Amx { get; init; }
}
