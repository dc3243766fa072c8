namespace Cnvm.Arch;

/// <summary>A message-signalled interrupt: the write a device makes to raise it (PCI 3.0 §6.8, SDM vol. 3 §11.11).</summary>
/// <param name="Address">Address of the write; 0xFEExxxxx, with the high destination bits in 63:40 as KVM takes them.</param>
/// <param name="Data">Data of the write: vector, delivery mode, level and trigger.</param>
public readonly record struct MsiMessage(ulong Address, uint Data);
