using Cnvm.Arch.Registers;

namespace Cnvm.Hypervisor;

/// <summary>What has to be known before a partition exists.</summary>
public sealed record PartitionOptions
{
    /// <summary>Upper bound of vCPU indices plus one.</summary>
    public required int MaxVcpus { get; init; }

    /// <summary>Pins of the I/O APIC that <see cref="IInterruptController.SetIoApicRoute"/> may name.</summary>
    public int IoApicPins { get; init; } = 24;

    /// <summary>GPA of three unused pages below 4 GiB that some Intel hosts need (KVM_SET_TSS_ADDR).</summary>
    public ulong TssAddress { get; init; } = 0xF800_0000;

    /// <summary>GPA of one unused page below 4 GiB that some Intel hosts need (KVM_SET_IDENTITY_MAP_ADDR).</summary>
    public ulong IdentityMapAddress { get; init; } = 0xF800_3000;

    /// <summary>Frequency of the guest's TSC in kHz; 0: the hypervisor's own. Another one needs <see cref="HypervisorCapabilities.TscScaling"/>.</summary>
    public uint TscKhz { get; init; }

    /// <summary>
    /// Model-specific registers that do not exist for this machine's guests, whatever the host has: reading or writing one is #GP. Only
    /// with <see cref="HypervisorCapabilities.MsrFilter"/>; at most 16 ranges.
    /// </summary>
    public IReadOnlyList<MsrRange> HiddenMsrs { get; init; } = [];

    /// <summary>Track dirty pages through a per-vCPU ring rather than a bitmap, where the host has one.</summary>
    public bool PreferDirtyRing { get; init; }
}
