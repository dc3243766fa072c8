namespace Cnvm.Devices.Pci;

/// <summary>What a function says that it is (PCI Local Bus 3.0 §6.2.1).</summary>
/// <param name="ClassCode">24 bits: base class, subclass, programming interface.</param>
public readonly record struct PciIdentity(
    ushort VendorId, ushort DeviceId, uint ClassCode, byte Revision, ushort SubsystemVendorId, ushort SubsystemId);
