using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Serial;
using Cnvm.Devices.Time;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The elements of the fixed devices' state (FORMAT.md, "Chipset").</summary>
internal static class ChipsetElements
{
    // A PIT's "no interrupt is due".
    private const string Due = "due";

    public static ChipsetState Describe(StateVisitor v, ChipsetState? s) => new()
    {
        IoApic = v.Record(1, "ioapic", s?.IoApic, IoApic),
        Pic = v.Optional(2, "pic", s?.Pic, Pic),
        Pit = v.Optional(3, "pit", s?.Pit, Pit),
        Rtc = v.Record(4, "rtc", s?.Rtc, Rtc),
        Serial = v.Optional(5, "serial", s?.Serial, Serial),
        I8042 = v.Record(6, "i8042", s?.I8042, I8042),
        Ged = v.Optional(7, "ged", s?.Ged, Ged),
        PciHost = v.Optional(8, "pci_host", s?.PciHost, PciHost),
        HostBridge = v.Optional(9, "host_bridge", s?.HostBridge, PciFunction),
        PvPanic = v.Optional(10, "pvpanic", s?.PvPanic, PciFunction),
        GenerationId = v.Optional(16, "vmgenid", s?.GenerationId, static (v, g) => new GenerationIdState(v.U64(1, "address", g?.Address))),
        Hotplug = v.Optional(17, "pci_hotplug", s?.Hotplug, Hotplug),
        CpuHotplug = v.Optional(18, "cpu_hotplug", s?.CpuHotplug, CpuHotplug),
        ClockPage = v.Optional(19, "vmclock", s?.ClockPage, ClockPage),
        MemoryHotplug = v.Optional(20, "memory_hotplug", s?.MemoryHotplug, MemoryHotplug),
    };

    public static PciFunctionState PciFunction(StateVisitor v, PciFunctionState? s) => new()
    {
        Config = v.Bytes(1, "config", s?.Config),
        IsPinAsserted = v.Bool(2, "pin_asserted", s?.IsPinAsserted),
        Msix = v.Optional(3, "msix", s?.Msix, static (v, m) => new MsixTableState { Entries = v.ValueList(1, "entries", m?.Entries, MsixEntry) }),
    };

    private static MsixEntryState MsixEntry(StateVisitor v, MsixEntryState? e) => new(
        v.U64(1, "address", e?.Address), v.U32(2, "data", e?.Data), v.U32(3, "control", e?.Control), v.Bool(4, "pending", e?.IsPending));

    private static IoApicState IoApic(StateVisitor v, IoApicState? s) => new()
    {
        Id = v.U8(1, "id", s?.Id),
        Select = v.U8(2, "select", s?.Select),
        Redirection = v.U64List(3, "redirection", s?.Redirection),
        Levels = v.U64(4, "levels", s?.Levels),
    };

    private static PicState Pic(StateVisitor v, PicState? s) =>
        new(v.Record(1, "master", s?.Master, PicChip), v.Record(2, "slave", s?.Slave, PicChip));

    private static PicChipState PicChip(StateVisitor v, PicChipState? s) => new()
    {
        Request = v.U8(1, "irr", s?.Request),
        Mask = v.U8(2, "imr", s?.Mask),
        Service = v.U8(3, "isr", s?.Service),
        Levels = v.U8(4, "levels", s?.Levels),
        LevelTriggered = v.U8(5, "elcr", s?.LevelTriggered),
        VectorBase = v.U8(6, "icw2", s?.VectorBase),
        TopPriority = v.U8(7, "top_priority", s?.TopPriority),
        NextInitWord = v.U8(8, "next_init_word", s?.NextInitWord),
        ExpectsIcw4 = v.Bool(9, "expects_icw4", s?.ExpectsIcw4),
        IsSingle = v.Bool(10, "single", s?.IsSingle),
        AllLevelTriggered = v.Bool(11, "all_level_triggered", s?.AllLevelTriggered),
        AutoEoi = v.Bool(12, "auto_eoi", s?.AutoEoi),
        RotateOnAutoEoi = v.Bool(13, "rotate_on_auto_eoi", s?.RotateOnAutoEoi),
        SpecialFullyNested = v.Bool(14, "special_fully_nested", s?.SpecialFullyNested),
        SpecialMask = v.Bool(15, "special_mask", s?.SpecialMask),
        ReadsService = v.Bool(16, "reads_isr", s?.ReadsService),
        IsPolled = v.Bool(17, "polled", s?.IsPolled),
    };

    private static PitState Pit(StateVisitor v, PitState? s) => new()
    {
        Channels = v.List(1, "channels", s?.Channels, PitChannel),
        SpeakerData = v.Bool(2, "speaker", s?.SpeakerData),
        LineLevel = v.Bool(3, "line", s?.LineLevel),
        Due = v.OptionalU64(4, Due, s?.Due),
    };

    private static PitChannelState PitChannel(StateVisitor v, PitChannelState? s) => new()
    {
        Mode = v.U8(1, "mode", s?.Mode),
        Access = v.U8(2, "access", s?.Access),
        IsBcd = v.Bool(3, "bcd", s?.IsBcd),
        Gate = v.Bool(4, "gate", s?.Gate),
        Count = (int)v.U32(5, "count", (uint?)s?.Count),
        IsLoaded = v.Bool(6, "loaded", s?.IsLoaded),
        LoadTime = v.U64(7, "load_time", s?.LoadTime),
        TicksAtGateLow = v.I64(8, "ticks_at_gate_low", s?.TicksAtGateLow),
        IsTriggered = v.Bool(9, "triggered", s?.IsTriggered),
        WriteLow = v.U8(10, "write_low", s?.WriteLow),
        ExpectsHighWrite = v.Bool(11, "expects_high_write", s?.ExpectsHighWrite),
        ExpectsHighRead = v.Bool(12, "expects_high_read", s?.ExpectsHighRead),
        HasLatchedCount = v.Bool(13, "has_latched_count", s?.HasLatchedCount),
        LatchedCount = v.U16(14, "latched_count", s?.LatchedCount),
        HasLatchedStatus = v.Bool(15, "has_latched_status", s?.HasLatchedStatus),
        LatchedStatus = v.U8(16, "latched_status", s?.LatchedStatus),
    };

    private static RtcState Rtc(StateVisitor v, RtcState? s) => new()
    {
        Cmos = v.Bytes(1, "cmos", s?.Cmos),
        Index = v.U8(2, "index", s?.Index),
        OffsetTicks = v.I64(3, "offset", s?.OffsetTicks),
        LastSecond = v.I64(4, "last_second", s?.LastSecond),
        PeriodOrigin = v.U64(5, "period_origin", s?.PeriodOrigin),
        LastPeriod = v.U64(6, "last_period", s?.LastPeriod),
    };

    private static Serial16550State Serial(StateVisitor v, Serial16550State? s) => new()
    {
        InterruptEnable = v.U8(1, "ier", s?.InterruptEnable),
        FifoControl = v.U8(2, "fcr", s?.FifoControl),
        LineControl = v.U8(3, "lcr", s?.LineControl),
        ModemControl = v.U8(4, "mcr", s?.ModemControl),
        LineErrors = v.U8(5, "line_errors", s?.LineErrors),
        ModemDelta = v.U8(6, "modem_delta", s?.ModemDelta),
        Scratch = v.U8(7, "scr", s?.Scratch),
        Divisor = v.U16(8, "divisor", s?.Divisor),
        TransmitEmptyPending = v.Bool(9, "thre_pending", s?.TransmitEmptyPending),
        ReceiveFifo = v.Bytes(10, "receive_fifo", s?.ReceiveFifo),
        TransmitFifo = v.Bytes(11, "transmit_fifo", s?.TransmitFifo),
    };

    private static I8042State I8042(StateVisitor v, I8042State? s) => new(v.Bool(1, "expects_output_port", s?.ExpectsOutputPort));

    private static GenericEventDeviceState Ged(StateVisitor v, GenericEventDeviceState? s) => new((GedEvents)v.U8(1, "pending", (byte?)s?.Pending));

    private static PciHotplugState Hotplug(StateVisitor v, PciHotplugState? s) => new()
    {
        Up = v.U64List(1, "up", s?.Up),
        Down = v.U64List(2, "down", s?.Down),
        Ejected = v.U64List(3, "ejected", s?.Ejected),
        Selected = v.U32(4, "selected", s?.Selected),
    };

    private static MemoryHotplugState MemoryHotplug(StateVisitor v, MemoryHotplugState? s) => new()
    {
        Starts = v.U64List(1, "starts", s?.Starts),
        Lengths = v.U64List(2, "lengths", s?.Lengths),
        Inserting = v.U32(3, "inserting", s?.Inserting),
        Selected = v.U32(4, "selected", s?.Selected),
    };

    private static CpuHotplugState CpuHotplug(StateVisitor v, CpuHotplugState? s) => new()
    {
        Vcpus = v.Bytes(1, "vcpus", s?.Vcpus),
        Selected = v.U32(2, "selected", s?.Selected),
    };

    private static ClockPageState ClockPage(StateVisitor v, ClockPageState? s) => new(
        v.U64(1, "address", s?.Address),
        v.U32(2, "seq_count", s?.Sequence),
        v.U64(3, "disruption_marker", s?.Disruptions),
        v.U64(4, "vm_generation_counter", s?.Generations));

    private static PciHostState PciHost(StateVisitor v, PciHostState? s) => new(v.U32(1, "config_address", s?.ConfigAddress));
}
