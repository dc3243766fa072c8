using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;

namespace Cnvm.Virtio.Transport;

/// <summary>How a virtio device appears on PCI.</summary>
public sealed record PciTransportOptions
{
    /// <summary>Where BAR 0 may lie.</summary>
    public PciBarKind BarKind { get; init; } = PciBarKind.Memory64;

    /// <summary>Wire for a driver that does not use MSI-X; null: such a driver gets no interrupts.</summary>
    public IInterruptLine? InterruptLine { get; init; }

    /// <summary>Number of that wire's input, for the interrupt line register.</summary>
    public byte InterruptLineNumber { get; init; }
}
