namespace Cnvm.Devices.Pci;

/// <summary>A stretch of guest-physical addresses that regions are placed in. Size 0: no such window.</summary>
public readonly record struct AddressWindow(ulong Base, ulong Size)
{
    public bool Contains(ulong start, ulong size) =>
        size != 0 && start >= Base && start - Base < Size && size <= Size - (start - Base);
}
