namespace Cnvm.Arch.Acpi.Aml;

/// <summary>Address space of an operation region or a generic address (ACPI 6.5, table 5.1).</summary>
public enum AmlAddressSpace : byte
{
    /// <summary>Guest physical memory.</summary>
    SystemMemory = 0,

    /// <summary>I/O ports.</summary>
    SystemIo = 1,

    /// <summary>Configuration space of a PCI function.</summary>
    PciConfig = 2,
}
