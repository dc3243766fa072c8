namespace Cnvm.Vmm;

/// <summary>What a guest, or a vCPU on its behalf, asks of the VMM.</summary>
internal enum GuestRequest
{
    /// <summary>Reset: ACPI reset register, i8042, CMOS, triple fault.</summary>
    Reset,

    /// <summary>ACPI S5.</summary>
    PowerOff,

    /// <summary>The guest's kernel reported a panic through pvpanic; it goes on by itself.</summary>
    Panic,

    /// <summary>The guest has given up PCI slots or vCPUs; it goes on by itself.</summary>
    Eject,

    /// <summary>The hypervisor cannot run the guest any further.</summary>
    Failed,

    /// <summary>The memory that the guest goes on from turned out not to be what was saved.</summary>
    Damaged,
}
