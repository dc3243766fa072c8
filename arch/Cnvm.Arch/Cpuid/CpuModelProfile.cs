namespace Cnvm.Arch.Cpuid;

/// <summary>
/// Which processor a guest is shown, so that hosts of several generations and hypervisors can run it in turn: the bits of CPUID and MSRs
/// that are not the host's own business.
/// </summary>
public sealed record CpuModelProfile
{
    public required string Name { get; init; }

    public IReadOnlyList<CpuidModifier> Cpuid { get; init; } = [];

    public IReadOnlyList<MsrModifier> Msrs { get; init; } = [];

    /// <summary>Leaves that the guest is not shown are removed: only those below and the ones that hypervisors compute stay.</summary>
    public bool KnownLeavesOnly { get; init; }

    /// <summary>Width of guest-physical addresses in bits at most: the memory map follows from it, so all hosts have to have it.</summary>
    public int PhysicalBits { get; init; } = 52;

    /// <summary>Frequency of the guest's TSC in kHz; 0: the host's own.</summary>
    public uint TscKhz { get; init; }

    /// <summary>The host's own processor, all of it.</summary>
    public static CpuModelProfile Host { get; } = new() { Name = "Host" };
}
