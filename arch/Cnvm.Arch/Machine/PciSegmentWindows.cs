namespace Cnvm.Arch.Machine;

/// <summary>What one PCI segment owns of the address space.</summary>
/// <param name="Segment">Segment number.</param>
/// <param name="Ecam">Its configuration space.</param>
/// <param name="Mmio32">Its memory window below 4 GiB.</param>
/// <param name="Mmio64">Its memory window above RAM.</param>
public sealed record PciSegmentWindows(int Segment, AddressRange Ecam, AddressRange Mmio32, AddressRange Mmio64);
