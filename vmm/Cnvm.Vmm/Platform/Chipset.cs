using System.Diagnostics;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Serial;
using Cnvm.Devices.Time;
using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Microsoft.Extensions.Logging;
using Profile = Cnvm.Arch.Machine.MachineProfile;

namespace Cnvm.Vmm.Platform;

/// <summary>The fixed devices of a machine, built from its profile: buses, interrupt controllers, timers, serial port, power.</summary>
internal sealed partial class Chipset : IDisposable
{
    private const ulong LastMemoryAddress = ulong.MaxValue;
    private const byte RtcIrq = 8;

    private readonly Profile _profile;
    private readonly ulong _hotplugAddress;
    private readonly ulong _memoryHotplugAddress;
    private readonly ulong _cpuHotplugAddress;
    private readonly ConsoleBackend? _serialConsole;
    private readonly Pit? _pit;
    private readonly Rtc _rtc;
    private readonly Serial16550? _serial;
    private readonly I8042 _i8042;
    private readonly Dictionary<uint, SharedInterruptLine> _intx = [];
    private PciHostBridge? _hostBridge;
    private PvPanicPci? _pvPanic;

    /// <param name="picOutput">The boot vCPU's LINT0, for profiles with a PIC.</param>
    public Chipset(
        PhysicalLayout layout,
        VmConfig config,
        ConsoleSet consoles,
        IMsiController msi,
        IInterruptLine picOutput,
        IMachineEvents events,
        ILoggerFactory logging)
    {
        _profile = layout.Profile;
        _hotplugAddress = layout.PciHotplugAddress;
        _memoryHotplugAddress = layout.MemoryHotplugAddress;
        _cpuHotplugAddress = layout.CpuHotplugAddress;
        ILogger logger = logging.CreateLogger("devices");
        Ports = new IoBus("port", IoBus.LastPort, logger);
        Memory = new IoBus("memory", LastMemoryAddress, logger);
        Clock = new VmClock();

        IoApicLayout ioApic = _profile.IoApics[0];
        IoApic = new IoApic(DeviceNames.Ioapic, msi, ioApic.Pins);
        Memory.Register(ioApic.Address, IoApic.Size, IoApic, "ioapic");
        if (_profile.HasPic)
        {
            Pic = new PicPair(picOutput);
            Pic.Register(Ports);
        }

        if (_profile.HasPit)
        {
            _pit = new Pit(Clock, IsaLine(0));
            _pit.Register(Ports);
        }
        else
        {
            Ports.Register(SystemControlPort.Port, SystemControlPort.Size, new SystemControlPort(Clock), "system control");
        }

        _rtc = new Rtc(TimeProvider.System, Clock, IsaLine(RtcIrq), RamSizes(layout), events);
        Ports.Register(Rtc.IndexPort, Rtc.Size, _rtc, "rtc");
        if (config.Serial.Mode != ConsoleMode.Off)
        {
            _serialConsole = consoles.Serial is { } console ? new ConsoleBackend(console) : null;
            _serial = new Serial16550(DeviceNames.Serial, (ISerialBackend?)_serialConsole ?? new NullSerialBackend(), IsaLine(Profile.SerialIrq));
            Ports.Register(Profile.SerialPort, Serial16550.Size, _serial, "serial");
            _serialConsole?.Connect(_serial.InputReady, _serial.OutputReady);
        }

        _i8042 = new I8042(events);
        _i8042.Register(Ports);
        Ports.Register(DebugPort.Port, DebugPort.Size, new DebugPort(logging.CreateLogger("guest"), Stopwatch.GetTimestamp()), "debug port");
        AddDebugConsole(config, consoles);
        Ged = AddAcpi(layout, events);
        Pci = AddPci(layout, logger);
        if (config.Pvpanic)
        {
            AddPvpanic(events, logger);
        }
    }

    public IoBus Ports { get; }

    public IoBus Memory { get; }

    public VmClock Clock { get; }

    public IoApic IoApic { get; }

    public PicPair? Pic { get; }

    /// <summary>Null without ACPI.</summary>
    public GenericEventDevice? Ged { get; }

    /// <summary>Null without <see cref="AddGenerationId"/>.</summary>
    public GenerationId? GenerationId { get; private set; }

    /// <summary>Null without <see cref="AddClockPage"/>.</summary>
    public ClockPage? ClockPage { get; private set; }

    /// <summary>Null without <see cref="AddPciHotplug"/>.</summary>
    public PciHotplug? Hotplug { get; private set; }

    /// <summary>Null without <see cref="AddMemoryHotplug"/>.</summary>
    public MemoryHotplug? MemoryHotplug { get; private set; }

    /// <summary>Null without <see cref="AddCpuHotplug"/>.</summary>
    public CpuHotplug? CpuHotplug { get; private set; }

    /// <summary>Null without PCI.</summary>
    public PciHost? Pci { get; }

    /// <summary>The input for an ISA interrupt: the IOAPIC pin it is wired to, and the PIC where there is one.</summary>
    public IInterruptLine IsaLine(byte irq)
    {
        uint gsi = _profile.InterruptOverrides.FirstOrDefault(o => o.IsaIrq == irq)?.Gsi ?? irq;
        IInterruptLine pin = IoApic.GetLine((int)gsi);
        return Pic is { } pic ? new InterruptFanOut(pic.GetLine(irq), pin) : pin;
    }

    /// <summary>The input for a global system interrupt that is no ISA interrupt, or the ISA line of the same number.</summary>
    public IInterruptLine GsiLine(uint gsi) => gsi < 16 && Pic is not null ? IsaLine((byte)gsi) : IoApic.GetLine((int)gsi);

    /// <summary>A device's hold on the wire of a slot's INTA#, and the number of the interrupt input that it leads to.</summary>
    public IInterruptLine CreateIntx(int slot, out uint gsi)
    {
        gsi = _profile.Pci!.GsiOf(slot, 0);
        if (!_intx.TryGetValue(gsi, out SharedInterruptLine? shared))
        {
            _intx[gsi] = shared = new SharedInterruptLine(IoApic.GetLine((int)gsi));
        }

        return shared.CreateInput();
    }

    /// <summary>Gives the machine a generation identifier; one without ACPI could not be told of it.</summary>
    /// <param name="memory">Where it lies.</param>
    public void AddGenerationId(GuestMemory memory)
    {
        if (Ged is { } ged)
        {
            GenerationId = new GenerationId(memory, (gpa, length) => memory.MarkDirty(gpa, (ulong)length), ged, LowMemory.GenerationId);
        }
    }

    /// <summary>Gives the machine a VMClock page; one without ACPI could not be told of it.</summary>
    /// <param name="memory">Where it lies.</param>
    public void AddClockPage(GuestMemory memory)
    {
        if (Ged is { } ged)
        {
            ClockPage = new ClockPage(memory, (gpa, length) => memory.MarkDirty(gpa, (ulong)length), ged, LowMemory.ClockPage);
        }
    }

    /// <summary>Lets PCI functions come and go; nothing happens where the guest could not be told of it.</summary>
    /// <param name="onEject">Called on a vCPU's thread when the guest gives up slots.</param>
    public void AddPciHotplug(Action onEject)
    {
        if (Ged is { } ged && Pci is { } pci)
        {
            Hotplug = new PciHotplug(pci.Segments.Count(), ged, onEject);
            Memory.Register(_hotplugAddress, PciHotplug.Size, Hotplug, "pci hotplug");
        }
    }

    /// <summary>Lets memory come; nothing happens where there is no room for it, or the guest could not be told of it.</summary>
    /// <param name="present">What has come already.</param>
    public void AddMemoryHotplug(IReadOnlyList<AddressRange> present)
    {
        if (_memoryHotplugAddress != 0)
        {
            MemoryHotplug = new MemoryHotplug(present, Ged!);
            Memory.Register(_memoryHotplugAddress, MemoryHotplug.Size, MemoryHotplug, "memory hotplug");
        }
    }

    /// <summary>Lets vCPUs come and go; nothing happens where the guest could not be told of it.</summary>
    /// <param name="vcpus">How many there can be.</param>
    /// <param name="present">How many there are; a state that is restored says otherwise.</param>
    /// <param name="onEject">Called on a vCPU's thread when the guest gives up vCPUs.</param>
    public void AddCpuHotplug(int vcpus, int present, Action onEject)
    {
        if (Ged is { } ged)
        {
            CpuHotplug = new CpuHotplug(vcpus, present, ged, onEject);
            Memory.Register(_cpuHotplugAddress, CpuHotplug.Size, CpuHotplug, "cpu hotplug");
        }
    }

    public void Dispose()
    {
        _serialConsole?.Disconnect();
        _rtc.Dispose();
        _pit?.Dispose();
        Clock.Dispose();
    }

    private static RtcMemorySizes RamSizes(PhysicalLayout layout) =>
        new(layout.RamRegions[0].Length, layout.RamRegions.Count > 1 ? layout.RamRegions[1].Length : 0);

    private void AddDebugConsole(VmConfig config, ConsoleSet consoles)
    {
        if (consoles.Debug is { } console)
        {
            ushort port = config.DebugConsole.Iobase ?? DebugConsoleConfig.DefaultIobase;
            Ports.Register(port, DebugConsole.Size, new DebugConsole(new ConsoleSink(console)), "debug console");
        }
    }

    private GenericEventDevice? AddAcpi(PhysicalLayout layout, IMachineEvents events)
    {
        if (_profile.Acpi is not { } acpi)
        {
            return null;
        }

        var sleep = new AcpiSleepControl(events);
        BusOf(acpi.SleepControl).Register(acpi.SleepControl.Address, AcpiSleepControl.Size, sleep, "acpi sleep control");
        if (acpi.PmTimer is { } timer)
        {
            BusOf(timer).Register(timer.Address, AcpiPmTimer.Size, new AcpiPmTimer(Clock), "acpi pm timer");
        }

        var ged = new GenericEventDevice(GsiLine(acpi.GedGsi));
        Memory.Register(layout.GedAddress, GenericEventDevice.Size, ged, "acpi ged");
        return ged;
    }

    private IoBus BusOf(AcpiRegister register) =>
        register.Space == Cnvm.Arch.Acpi.Aml.AmlAddressSpace.SystemIo ? Ports : Memory;

    private PciHost? AddPci(PhysicalLayout layout, ILogger logger)
    {
        if (layout.PciSegments.Count == 0)
        {
            return null;
        }

        var host = new PciHost(Memory, Ports, [.. layout.PciSegments.Select(s => new PciSegmentLayout(
            s.Segment,
            s.Ecam.Start,
            new AddressWindow(s.Mmio32.Start, s.Mmio32.Length),
            new AddressWindow(s.Mmio64.Start, s.Mmio64.Length)))]);
        _hostBridge = new PciHostBridge(logger);
        host.Attach(_hostBridge, 0, 0);
        return host;
    }

    private void AddPvpanic(IMachineEvents events, ILogger logger)
    {
        if (Pci is { } pci)
        {
            _pvPanic = new PvPanicPci(events, logger);
            pci.Attach(_pvPanic);
        }
        else
        {
            Ports.Register(PvPanicRegister.IsaPort, PvPanicRegister.IsaSize, new PvPanicRegister(events), "pvpanic");
        }
    }
}
