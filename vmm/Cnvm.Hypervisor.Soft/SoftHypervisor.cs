using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Soft.Platform;
using Cnvm.Hypervisor.State;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Hypervisor.Soft;

/// <summary>The hypervisor contract in software: runs ordinary guests on any x86-64 Linux host, without /dev/kvm.</summary>
public sealed class SoftHypervisor : IHypervisor
{
    private readonly ILogger _log;

    private SoftHypervisor(ILogger log) => _log = log;

    public string Name => "soft";

    public HypervisorCapabilities Capabilities { get; } = new()
    {
        MaxVcpus = 64,
        PhysicalAddressBits = SoftCpuid.AddressBits,
        MaxMemoryRegions = 64,
        RunsOrdinaryGuests = true,
        DirtyLog = true,
        TscScaling = true,
        TscKhz = SoftVcpu.DefaultTscKhz,
        X2Apic = true,
        GuestDebug = true,
    };

    public CpuidTable SupportedCpuid { get; } = SoftCpuid.Create();

    public uint GuestTscKhz => SoftVcpu.DefaultTscKhz;

    public MsrSet Msrs => SoftVcpu.Msrs;

    /// <summary>Always succeeds: nothing of the host is needed.</summary>
    public static SoftHypervisor Create(ILogger? log = null) => new(log ?? NullLogger.Instance);

    public IPartition CreatePartition(PartitionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.MaxVcpus is < 1 or > 64)
        {
            throw new HypervisorException($"soft: {options.MaxVcpus} vCPUs asked for; 1 to {Capabilities.MaxVcpus} are possible");
        }

        return new SoftPartition(options, _log);
    }

    public void Dispose()
    {
        // Holds nothing of the host.
    }
}
