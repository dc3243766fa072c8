using Cnvm.Devices.Pci;

namespace Cnvm.Virtio.Transport;

/// <summary>What a virtio PCI function saves. Pure data.</summary>
public sealed record PciTransportState
{
    public required PciFunctionState Function { get; init; }

    public required TransportState Transport { get; init; }

    /// <summary>MSI-X vector of configuration changes; 0xffff is none.</summary>
    public required ushort ConfigVector { get; init; }

    /// <summary>MSI-X vector of each queue; 0xffff is none.</summary>
    public required ushort[] QueueVectors { get; init; }

    /// <summary>ISR status (virtio 1.2 §4.1.4.5).</summary>
    public required byte Isr { get; init; }
}
