namespace Cnvm.Arch.Machine;

/// <summary>Shares of a PCI segment in the two memory windows, relative to the other segments; 1 or more.</summary>
public readonly record struct PciSegmentWeights(uint Mmio32, uint Mmio64)
{
    /// <summary>An equal share.</summary>
    public static PciSegmentWeights Equal { get; } = new(1, 1);
}
