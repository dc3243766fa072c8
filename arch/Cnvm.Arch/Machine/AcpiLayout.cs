namespace Cnvm.Arch.Machine;

/// <summary>The fixed hardware of a hardware-reduced ACPI machine (ACPI 6.5, 4.1).</summary>
/// <param name="SleepControl">SLP_EN (bit 5) and SLP_TYP (bits 2 to 4).</param>
/// <param name="SleepStatus">WAK_STS.</param>
/// <param name="Reset">Reset register.</param>
/// <param name="ResetValue">What the guest writes to it.</param>
/// <param name="PmTimer">The 3.579545 MHz timer, 32 bits wide; null without one.</param>
/// <param name="GedAddress">
/// Event register (one byte, cleared by a read) of the generic event device; null where the memory layout places it.
/// </param>
/// <param name="GedGsi">Its interrupt, edge.</param>
public sealed record AcpiLayout(
    AcpiRegister SleepControl,
    AcpiRegister SleepStatus,
    AcpiRegister Reset,
    byte ResetValue,
    AcpiRegister? PmTimer,
    ulong? GedAddress,
    uint GedGsi)
{
    /// <summary>SLP_TYP of S5 (soft off), as the \_S5 package says it.</summary>
    public const int S5SleepType = 5;

    /// <summary>
    /// Bit of the event register for the power button. Bits 0 to 2 are vCPU, memory and PCI hotplug, as in Cloud Hypervisor.
    /// </summary>
    public const uint PowerButtonEvent = 1u << 3;

    /// <summary>What a guest writes to the sleep control register to power off: SLP_TYP = 5 and SLP_EN.</summary>
    public const byte S5SleepControlValue = (S5SleepType << 2) | (1 << 5);
}
