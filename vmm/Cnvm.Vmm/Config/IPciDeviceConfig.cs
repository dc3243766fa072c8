namespace Cnvm.Vmm.Config;

/// <summary>What every PCI device's configuration has; the keys stand beside the device's own.</summary>
public interface IPciDeviceConfig
{
    /// <summary>Name of the device, unique in the VM; given by <see cref="DeviceNames"/> if null.</summary>
    string? Id { get; }

    /// <summary>The device's DMA goes through the virtual IOMMU.</summary>
    bool Iommu { get; }

    /// <summary>PCI segment the device is on.</summary>
    ushort PciSegment { get; }

    /// <summary>Slot on bus 0 of the segment, 1..31; the next free one if null.</summary>
    byte? PciDeviceId { get; }
}
