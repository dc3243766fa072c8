namespace Cnvm.Arch.Machine;

/// <summary>
/// Where boot data lies in the first MiB, as Cloud Hypervisor places it. A kernel is loaded at <see cref="HighRam"/> or above, so none of
/// this can be overwritten by one that passes the loader's checks.
/// </summary>
public static class LowMemory
{
    /// <summary>Boot GDT, 8 entries at most.</summary>
    public const ulong Gdt = 0x500;

    /// <summary>Boot IDT, empty.</summary>
    public const ulong Idt = 0x540;

    /// <summary>hvm_start_info of the PVH protocol.</summary>
    public const ulong HvmStartInfo = 0x6000;

    /// <summary>hvm_modlist_entry array.</summary>
    public const ulong HvmModuleList = 0x6040;

    /// <summary>hvm_memmap_table_entry array; room up to <see cref="BootStack"/>.</summary>
    public const ulong HvmMemoryMap = 0x7000;

    /// <summary>
    /// boot_params of the Linux boot protocol (one page). The same page as the PVH memory map: only one protocol is used.
    /// </summary>
    public const ulong ZeroPage = 0x7000;

    /// <summary>Where the boot stack starts (it grows down from <c>BootStack + 0xFF0</c>).</summary>
    public const ulong BootStack = 0x8000;

    /// <summary>Identity page tables for 64-bit entries: PML4, PDPT and four page directories.</summary>
    public const ulong PageTables = 0x9000;

    /// <summary>Kernel command line.</summary>
    public const ulong CommandLine = 0x20000;

    /// <summary>Room for the command line with its terminating NUL.</summary>
    public const int CommandLineCapacity = 0x10000;

    /// <summary>End of the RAM that the guest is told about below 1 MiB; ACPI tables start here.</summary>
    public const ulong AcpiTables = 0xA0000;

    /// <summary>End of the room for ACPI tables.</summary>
    public const ulong AcpiTablesEnd = ClockPage;

    /// <summary>The VMClock page; no RAM that the guest is told of.</summary>
    public const ulong ClockPage = 0xEE000;

    /// <summary>A page for the generation identifier; no RAM that the guest is told of, as its specification wants.</summary>
    public const ulong GenerationId = 0xEF000;

    /// <summary>SMBIOS entry point and tables, then the MP table at the next multiple of 16.</summary>
    public const ulong FirmwareTables = 0xF0000;

    /// <summary>End of the room for SMBIOS: the largest MP table (255 processors) fits behind it.</summary>
    public const ulong SmbiosEnd = 0xFE000;

    /// <summary>End of the room for SMBIOS and the MP table.</summary>
    public const ulong FirmwareTablesEnd = 0x100000;

    /// <summary>First address of RAM above the legacy area.</summary>
    public const ulong HighRam = 0x100000;
}
