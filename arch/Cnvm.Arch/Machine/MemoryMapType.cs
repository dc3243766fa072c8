namespace Cnvm.Arch.Machine;

/// <summary>Type of a memory map entry, the same in e820 (ACPI 6.5, table 15.4) and in hvm_memmap_table_entry.</summary>
public enum MemoryMapType : uint
{
    /// <summary>RAM.</summary>
    Ram = 1,

    /// <summary>Not to be used.</summary>
    Reserved = 2,
}
