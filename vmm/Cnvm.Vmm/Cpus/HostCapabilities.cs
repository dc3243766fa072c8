using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State;

namespace Cnvm.Vmm.Cpus;

/// <summary>What a hypervisor on a host can run, as far as a guest that comes from elsewhere is concerned.</summary>
public sealed record HostCapabilities
{
    /// <summary>Short name of the hypervisor.</summary>
    public required string Hypervisor { get; init; }

    public required uint MaxVcpus { get; init; }

    /// <summary>Width of guest-physical addresses in bits.</summary>
    public required uint PhysicalAddressBits { get; init; }

    /// <summary>A guest may have another TSC frequency than <see cref="TscKhz"/>.</summary>
    public required bool TscScaling { get; init; }

    /// <summary>Frequency of a guest's TSC in kHz; 0 if not known.</summary>
    public required uint TscKhz { get; init; }

    /// <summary>Every CPUID bit that a guest could be shown.</summary>
    public required CpuidTable Cpuid { get; init; }

    /// <summary>Model-specific registers that a restored vCPU has; <see cref="MsrSet.Unknown"/> if the description is of an older program.</summary>
    public MsrSet Msrs { get; init; } = MsrSet.Unknown;

    /// <exception cref="HypervisorException">The hypervisor does not tell.</exception>
    public static HostCapabilities Of(IHypervisor hypervisor)
    {
        ArgumentNullException.ThrowIfNull(hypervisor);
        HypervisorCapabilities c = hypervisor.Capabilities;
        return new HostCapabilities
        {
            Hypervisor = hypervisor.Name,
            MaxVcpus = (uint)c.MaxVcpus,
            PhysicalAddressBits = (uint)c.PhysicalAddressBits,
            TscScaling = c.TscScaling,
            TscKhz = hypervisor.GuestTscKhz,
            Cpuid = hypervisor.SupportedCpuid,
            Msrs = hypervisor.Msrs,
        };
    }
}
