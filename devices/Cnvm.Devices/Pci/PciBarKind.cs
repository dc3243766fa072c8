namespace Cnvm.Devices.Pci;

/// <summary>Where a base address register can place its region (PCI Local Bus 3.0 §6.2.5.1). Port regions are not offered.</summary>
public enum PciBarKind
{
    /// <summary>Memory below 4 GiB.</summary>
    Memory32,

    /// <summary>Memory anywhere; takes two registers.</summary>
    Memory64,

    /// <summary>Memory anywhere, without side effects of reads; takes two registers.</summary>
    Memory64Prefetchable,
}
