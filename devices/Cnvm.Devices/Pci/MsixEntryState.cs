namespace Cnvm.Devices.Pci;

/// <summary>One entry of an MSI-X table as the guest wrote it (PCI Local Bus 3.0 §6.8.2), and its pending bit.</summary>
public readonly record struct MsixEntryState(ulong Address, uint Data, uint Control, bool IsPending);
