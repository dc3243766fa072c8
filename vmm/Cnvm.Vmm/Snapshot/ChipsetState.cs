using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Serial;
using Cnvm.Devices.Time;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The fixed devices; null for those that the machine does not have.</summary>
public sealed record ChipsetState
{
    public required IoApicState IoApic { get; init; }

    public PicState? Pic { get; init; }

    public PitState? Pit { get; init; }

    public required RtcState Rtc { get; init; }

    public Serial16550State? Serial { get; init; }

    public required I8042State I8042 { get; init; }

    public GenericEventDeviceState? Ged { get; init; }

    public PciHostState? PciHost { get; init; }

    public PciFunctionState? HostBridge { get; init; }

    public PciFunctionState? PvPanic { get; init; }

    public GenerationIdState? GenerationId { get; init; }

    public PciHotplugState? Hotplug { get; init; }

    public MemoryHotplugState? MemoryHotplug { get; init; }

    public CpuHotplugState? CpuHotplug { get; init; }

    public ClockPageState? ClockPage { get; init; }
}
