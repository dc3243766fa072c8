namespace Cnvm.Arch.Machine;

/// <summary>A line of the memory map that the guest is given.</summary>
public readonly record struct MemoryMapEntry(AddressRange Range, MemoryMapType Type);
