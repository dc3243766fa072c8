namespace Cnvm.Devices.Platform;

/// <summary>What a generic event device notifies of, a bit each; the AML of the machine reads them.</summary>
[Flags]
public enum GedEvents : byte
{
    None = 0,
    CpuChanged = 1 << 0,
    MemoryChanged = 1 << 1,
    PciChanged = 1 << 2,
    PowerButton = 1 << 3,
    GenerationChanged = 1 << 4,
    ClockChanged = 1 << 5,
}
