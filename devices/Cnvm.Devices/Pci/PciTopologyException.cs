namespace Cnvm.Devices.Pci;

/// <summary>A function does not fit where it was to go: no such segment, slot taken, no address space left.</summary>
public sealed class PciTopologyException(string message) : Exception(message);
