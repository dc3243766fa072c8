namespace Cnvm.Devices.Pci;

/// <summary>What the host itself saves; functions save their own.</summary>
/// <param name="ConfigAddress">The latch of port 0xcf8.</param>
public sealed record PciHostState(uint ConfigAddress);
