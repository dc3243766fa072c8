namespace Cnvm.Arch.Machine;

/// <summary>The fixed hardware of a hardware-reduced ACPI machine (ACPI 6.5, 4.1).</summary>
/// <param name="SleepControl">SLP_EN (bit 5) and SLP_TYP (bits 2 to 4).</param>
/// <param name="SleepStatus">WAK_STS.</param>
/// <param name="Reset">Reset register.</param>
/// <param name="ResetValue">What the guest writes to it.</param>
/// <param name="PmTimer">The 3.579545 MHz timer, 32 bits wide; null without one.</param>
/// <param name="GedAddress">Event register of the generic event device; null where the memory layout places it.</param>
/// <param name="GedBytes">Width of that register.</param>
/// <param name="GedGsi">Its interrupt, edge.</param>
/// <param name="PowerButtonEvent">Bit of the event register for the power button.</param>
public sealed record AcpiLayout(
    AcpiRegister SleepControl,
    AcpiRegister SleepStatus,
    AcpiRegister Reset,
    byte ResetValue,
    AcpiRegister? PmTimer,
    ulong? GedAddress,
    int GedBytes,
    uint GedGsi,
    uint PowerButtonEvent)
{
    /// <summary>SLP_TYP of S5 (soft off), as the \_S5 package says it.</summary>
    public const int S5SleepType = 5;

    /// <summary>What a guest writes to the sleep control register to power off: SLP_TYP = 5 and SLP_EN.</summary>
    public const byte S5SleepControlValue = (S5SleepType << 2) | (1 << 5);
}
