using System.Diagnostics;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Tests.Fakes;
using Cnvm.Devices.Tests.Pci;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Platform;

public sealed class PlatformDeviceTests
{
    private readonly IoBus _ports = new("port", IoBus.LastPort, NullLogger.Instance);
    private readonly RecordingMachine _machine = new();
    private readonly ManualClock _clock = new();

    [Theory]
    [InlineData(0x01, "reset by acpi")]
    [InlineData(0x34, "shutdown by acpi")]
    [InlineData(0x2c, "sleep 3 by acpi")]
    public void Acpi_sleep_control_asks_the_machine(byte value, string request)
    {
        _ports.Register(AcpiSleepControl.DefaultPort, AcpiSleepControl.Size, new AcpiSleepControl(_machine), "acpi");
        Assert.Equal(0, _ports.In8(0x600));
        _ports.Out8(0x600, 0x14);
        _ports.Out8(0x600, 0x00);
        Assert.Empty(_machine.Requests);
        _ports.Out8(0x600, value);
        Assert.Equal([request], _machine.Requests);
    }

    [Fact]
    public void The_pm_timer_runs_at_its_rate_and_wraps_at_32_bits()
    {
        _ports.Register(AcpiPmTimer.DefaultPort, AcpiPmTimer.Size, new AcpiPmTimer(_clock), "pm timer");
        Assert.Equal(0u, _ports.In32(0x608));
        _clock.Nanoseconds = 2_000_000_000;
        Assert.Equal(2u * 3_579_545, _ports.In32(0x608));
        Assert.Equal((2u * 3_579_545) >> 16, _ports.In16(0x60a));
        _ports.Out32(0x608, 0);
        Assert.Equal(2u * 3_579_545, _ports.In32(0x608));
        _clock.Nanoseconds = 1200ul * 1_000_000_000;
        Assert.Equal(unchecked((uint)(1200ul * 3_579_545)), _ports.In32(0x608));
    }

    [Fact]
    public void Ged_events_are_read_once_and_hold_the_line()
    {
        RecordingLine line = new();
        GenericEventDevice ged = new(line);
        ged.Notify(GedEvents.PowerButton);
        ged.Notify(GedEvents.PciChanged);
        Assert.True(line.Level);
        Assert.Equal(2, line.Rises);
        byte[] data = new byte[1];
        Assert.Equal(IoResult.Ok, ged.Read(0, data));
        Assert.Equal(0x0c, data[0]);
        Assert.False(line.Level);
        ged.Read(0, data);
        Assert.Equal(0, data[0]);
        ged.Notify(GedEvents.None);
        Assert.False(line.Level);
        Assert.Equal(IoResult.InvalidSize, ged.Read(0, new byte[4]));

        ged.Notify(GedEvents.CpuChanged);
        GenericEventDeviceState saved = ged.Save();
        GenericEventDevice other = new(new RecordingLine());
        other.Restore(saved);
        Assert.Equal(saved, other.Save());
        Assert.Throws<DeviceStateException>(() => other.Restore(new GenericEventDeviceState((GedEvents)0x80)));
        other.Reset();
        Assert.Equal(GedEvents.None, other.Save().Pending);
    }

    [Fact]
    public void Another_generation_is_written_and_announced()
    {
        ArrayRam ram = new(0x2000);
        GenericEventDevice ged = new(new RecordingLine());
        List<(ulong, int)> written = [];
        GenerationId id = new(ram, (gpa, length) => written.Add((gpa, length)), ged, 0x1008);
        byte[] first = [.. Enumerable.Range(1, 16).Select(i => (byte)i)];
        byte[] second = [.. first.Reverse()];
        id.Set(first);
        Assert.Equal(first, ram.GetSpan(0x1008, 16).ToArray());
        Assert.Equal(GedEvents.None, ged.Save().Pending);
        id.Change(second);
        Assert.Equal(second, ram.GetSpan(0x1008, 16).ToArray());
        Assert.Equal(GedEvents.GenerationChanged, ged.Save().Pending);
        Assert.Equal([(0x1008, 16), (0x1008, 16)], written);

        GenerationId other = new(ram, (_, _) => { }, ged, 0);
        other.Restore(id.Save());
        Assert.Equal(id.Save(), other.Save());
        Assert.Throws<DeviceStateException>(() => other.Restore(new GenerationIdState(0x1ff8)));
        Assert.Equal(0x1008UL, other.Address);
        Assert.Throws<ArgumentOutOfRangeException>(() => id.Set(first.AsSpan(1)));
    }

    [Fact]
    public void The_keyboard_controller_resets_by_command_and_by_output_port()
    {
        I8042 controller = new(_machine);
        controller.Register(_ports);
        _ports.Out8(0x64, 0xff);
        _ports.Out8(0x64, 0x60);
        _ports.Out8(0x60, 0x00);
        _ports.Out8(0x64, 0xd1);
        _ports.Out8(0x60, 0xdf);
        Assert.Empty(_machine.Requests);
        _ports.Out8(0x64, 0xfe);
        _ports.Out8(0x64, 0xd1);
        I8042State saved = controller.Save();
        Assert.True(saved.ExpectsOutputPort);
        controller.Reset();
        _ports.Out8(0x60, 0xfe);
        Assert.Single(_machine.Requests);
        controller.Restore(saved);
        Assert.Equal(saved, controller.Save());
        _ports.Out8(0x60, 0xfe);
        Assert.Equal(["reset by i8042", "reset by i8042"], _machine.Requests);
    }

    [Fact]
    public void Linux_finds_no_keyboard_controller_within_its_flush_of_16_bytes()
    {
        new I8042(_machine).Register(_ports);
        int flushed = 0;
        while ((_ports.In8(0x64) & 1) != 0 && flushed < 16)
        {
            _ports.In8(0x60);
            flushed++;
        }

        Assert.Equal(16, flushed);
        Assert.Equal(0, _ports.In8(0x64) & 2);
    }

    [Fact]
    public void Port_0x61_without_a_pit_never_makes_a_kernel_wait()
    {
        _ports.Register(SystemControlPort.Port, SystemControlPort.Size, new SystemControlPort(_clock), "port b");
        Assert.Equal(0x20, _ports.In8(0x61));
        _clock.Nanoseconds = 20_000;
        Assert.Equal(0x30, _ports.In8(0x61));
        _ports.Out8(0x61, 3);
        Assert.Equal(0x30, _ports.In8(0x61));
    }

    [Fact]
    public void The_debug_console_takes_bytes_and_says_that_it_is_there()
    {
        RecordingBackend sink = new();
        _ports.Register(DebugConsole.DefaultPort, DebugConsole.Size, new DebugConsole(sink), "debug console");
        Assert.Equal(0xe9, _ports.In8(0xe9));
        _ports.Out8(0xe9, (byte)'o');
        _ports.Out8(0xe9, (byte)'k');
        Assert.Equal("ok", sink.Output);
    }

    [Fact]
    public void The_debug_port_logs_each_code_and_limits_repeats()
    {
        LineLogger log = new();
        _ports.Register(DebugPort.Port, DebugPort.Size, new DebugPort(log, Stopwatch.GetTimestamp()), "debug port");
        _ports.Out8(0x80, 0x40);
        _ports.Out8(0x80, 0x41);
        Assert.Matches(@"^\[Debug I/O port: Kernel code 0x40\] 0\.\d{6} seconds", log.Lines[0]);
        Assert.Contains("Kernel code 0x41", log.Lines[1]);
        for (int i = 0; i < 1000; i++)
        {
            _ports.Out8(0x80, 0x40);
        }

        Assert.InRange(log.Lines.Count, 3, 40);
        (byte, string)[] stages = [(0, "Firmware"), (0x20, "Bootloader"), (0x7f, "Userspace"), (0xff, "Custom")];
        foreach ((byte code, string source) in stages)
        {
            _ports.Out8(0x80, code);
            Assert.Contains($"{source} code 0x{code:x}", log.Lines[^1]);
        }
    }

    [Fact]
    public void Pvpanic_reports_what_it_offers()
    {
        PciFixture pci = new();
        PvPanicPci panic = new(_machine, NullLogger.Instance);
        pci.Host.Attach(panic);
        Assert.Equal(0x0011_1b36u, pci.Read32(panic, 0));
        Assert.Equal(0x0880_0001u, pci.Read32(panic, 8));
        pci.Decode(panic);
        ulong bar = panic.GetBarMapping(0)!.Value;
        Assert.Equal(7, pci.Memory.In8(bar));
        Assert.Equal(0, pci.Memory.In8(bar + 1));
        pci.Memory.Out8(bar, 1);
        pci.Memory.Out8(bar, 6);
        pci.Memory.Out8(bar, 0xf8);
        pci.Memory.Out8(bar + 1, 1);
        Assert.Equal(["panic Panicked", "panic CrashLoaded, Shutdown"], _machine.Requests);

        PciFunctionState saved = panic.Save();
        PciFixture other = new();
        PvPanicPci twin = new(_machine, NullLogger.Instance);
        other.Host.Attach(twin);
        twin.Restore(saved);
        Assert.Equal(saved.Config, twin.Save().Config);
        Assert.Equal(bar, twin.GetBarMapping(0));
    }

    private sealed class LineLogger : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add(formatter(state, exception));
    }
}
