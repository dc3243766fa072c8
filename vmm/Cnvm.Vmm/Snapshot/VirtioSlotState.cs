using Cnvm.Virtio.Transport;

namespace Cnvm.Vmm.Snapshot;

/// <summary>A virtio device, its transport, and its place. One of the two transports is there.</summary>
public sealed record VirtioSlotState
{
    /// <summary>The device's id in the configuration.</summary>
    public required string Id { get; init; }

    /// <summary>Device type (virtio 1.2 §5).</summary>
    public required ushort DeviceType { get; init; }

    /// <summary>PCI: segment times 32 plus slot. MMIO: index of the transport.</summary>
    public required uint Place { get; init; }

    public PciTransportState? Pci { get; init; }

    public MmioTransportState? Mmio { get; init; }
}
