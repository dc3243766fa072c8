using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor;

/// <summary>A hypervisor on this host. Ask what it can do, then build a partition.</summary>
public interface IHypervisor : IDisposable
{
    /// <summary>Short name for people and files: <c>kvm</c>, <c>soft</c>.</summary>
    string Name { get; }

    HypervisorCapabilities Capabilities { get; }

    /// <summary>Every CPUID bit that this hypervisor and host could show a guest.</summary>
    CpuidTable SupportedCpuid { get; }

    /// <summary>
    /// Frequency in kHz that a guest's TSC has unless another is asked for; 0 if nobody knows. The first call may make a machine to find out.
    /// </summary>
    uint GuestTscKhz { get; }

    /// <summary>Model-specific registers that a restored vCPU has here; <see cref="MsrSet.Unknown"/> if nobody knows.</summary>
    /// <exception cref="HypervisorException">The hypervisor does not tell.</exception>
    MsrSet Msrs { get; }

    /// <summary>Creates an empty machine: no memory, no vCPUs.</summary>
    /// <exception cref="HypervisorException">The host refused.</exception>
    IPartition CreatePartition(PartitionOptions options);
}
