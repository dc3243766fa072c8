namespace Cnvm.Devices.Pci;

/// <summary>Where one PCI segment lives in the machine's memory map.</summary>
/// <param name="Number">Segment group number, 0 to 95.</param>
/// <param name="EcamBase">Base of its configuration window, 1 MiB: one bus (PCI Express base spec §7.2.2).</param>
/// <param name="Memory32">Window for regions below 4 GiB.</param>
/// <param name="Memory64">Window for regions above 4 GiB; may be empty.</param>
public sealed record PciSegmentLayout(int Number, ulong EcamBase, AddressWindow Memory32, AddressWindow Memory64);
