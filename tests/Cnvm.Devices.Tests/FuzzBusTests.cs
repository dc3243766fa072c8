using System.Diagnostics;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Serial;
using Cnvm.Devices.Tests.Fakes;
using Cnvm.Devices.Tests.Pci;
using Cnvm.Devices.Time;
using Cnvm.Fuzz;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests;

/// <summary>Every device of both machine profiles on two buses, and a guest that writes at random.</summary>
public sealed class FuzzBusTests
{
    private static readonly int[] Widths = [1, 2, 4, 8];

    private readonly PciFixture _pci = new();
    private readonly ManualClock _clock = new();
    private readonly ManualTime _time = new(new DateTimeOffset(2026, 11, 21, 0, 0, 0, TimeSpan.Zero));
    private readonly RecordingMsi _msi = new() { Records = false };
    private readonly CountingMachine _machine = new();
    private readonly SilentSink _sink = new();
    private readonly IoApic _ioApic;
    private readonly PicPair _pic;
    private readonly Pit _pit;
    private readonly Rtc _rtc;
    private readonly Serial16550 _serial;
    private readonly GenericEventDevice _ged;
    private readonly TestFunction[] _functions;

    public FuzzBusTests()
    {
        _ioApic = new IoApic("ioapic", _msi);
        _pci.Memory.Register(0xfec1_0000, IoApic.Size, _ioApic, "ioapic");
        _pic = new PicPair(new RecordingLine());
        _pic.Register(_pci.Ports);
        _pit = new Pit(_clock, Wire(0));
        _pit.Register(_pci.Ports);
        _rtc = new Rtc(_time, _clock, Wire(8), new RtcMemorySizes(1 << 30, 0), _machine);
        _pci.Ports.Register(Rtc.IndexPort, Rtc.Size, _rtc, "rtc");
        _serial = new Serial16550("serial", _sink, Wire(4));
        _pci.Ports.Register(Serial16550.Com1, Serial16550.Size, _serial, "serial");
        new I8042(_machine).Register(_pci.Ports);
        _pci.Ports.Register(AcpiSleepControl.DefaultPort, AcpiSleepControl.Size, new AcpiSleepControl(_machine), "acpi");
        _pci.Ports.Register(AcpiPmTimer.DefaultPort, AcpiPmTimer.Size, new AcpiPmTimer(_clock), "pm timer");
        _pci.Ports.Register(DebugPort.Port, DebugPort.Size, new DebugPort(NullLogger.Instance, Stopwatch.GetTimestamp()), "debug port");
        _pci.Ports.Register(DebugConsole.DefaultPort, DebugConsole.Size, new DebugConsole(_sink), "debug console");
        _pci.Ports.Register(PvPanicRegister.IsaPort, PvPanicRegister.IsaSize, new PvPanicRegister(_machine), "pvpanic");
        _ged = new GenericEventDevice(_ioApic.GetLine(9));
        _pci.Memory.Register(0x3fff_fff0_0000, GenericEventDevice.Size, _ged, "ged");
        _functions = [.. Enumerable.Range(0, 4).Select(i => new TestFunction($"function {i}", _msi, _ioApic.GetLine(16 + i)))];
        foreach (TestFunction function in _functions)
        {
            _pci.Host.Attach(function);
        }

        _pci.Host.Attach(new PvPanicPci(_machine, NullLogger.Instance), 1);
    }

    private InterruptFanOut Wire(int irq) => new(_ioApic.GetLine(irq), _pic.GetLine(irq));

    [Fact]
    public void Nothing_a_guest_accesses_throws() => SeededRuns.Repeat(3, static seed => new FuzzBusTests().Attack(seed));

    private void Attack(int seed)
    {
        Random random = new(seed);
        long answered = 0;
        for (int round = 0; round < 900; round++)
        {
            foreach (IoBus bus in new[] { _pci.Ports, _pci.Memory })
            {
                // Anew each round: BARs move, come and go as the fuzzer writes to configuration space.
                foreach (IoRange range in bus.Ranges.ToArray())
                {
                    answered += Hit(random, bus, range, 8);
                }
            }

            HitConfig(random);
            switch (random.Next(8))
            {
                case 0:
                    _clock.Advance((ulong)random.Next(1, 20_000_000));
                    break;
                case 1:
                    _time.Now += TimeSpan.FromSeconds(random.Next(0, 100_000));
                    break;
                case 2:
                    _ged.Notify((GedEvents)random.Next(16));
                    break;
                case 3:
                    _pic.Acknowledge();
                    _ioApic.EndOfInterrupt((byte)random.Next(256));
                    break;
                case 4:
                    _sink.Refuses = random.Next(2) == 0;
                    _serial.OutputReady();
                    _serial.InputReady();
                    break;
                case 5:
                    TestFunction function = _functions[random.Next(_functions.Length)];
                    function.Raise(random.Next(2) == 0);
                    function.Msix!.Signal(random.Next(4));
                    break;
                default:
                    break;
            }
        }

        Assert.True(answered > 10_000, $"only {answered} accesses were answered");
        AssertRoundTrips();
        Assert.Equal(0x99, _pci.Memory.In8(0xfec0_0000));
    }

    [Fact]
    public void Regions_of_a_hostile_guest_stay_inside_the_windows()
    {
        Random random = new(5);
        for (int round = 0; round < 20_000; round++)
        {
            TestFunction function = _functions[random.Next(_functions.Length)];
            int register = random.Next(4) == 0 ? PciConfigSpace.Command : PciConfigSpace.Bar0 + (4 * random.Next(6));
            uint value = random.Next(3) switch
            {
                0 => (uint)random.NextInt64(1L << 32),
                1 => 0xc000_0000 + (uint)random.Next(8) * 0x1000,
                _ => 0xfec0_0000u >> random.Next(8),
            };
            _pci.Write32(function, register, value);
        }

        IoRange[] regions = [.. _pci.Memory.Ranges.Where(r => r.Name.StartsWith("function"))];
        Assert.NotEmpty(regions);
        Assert.All(regions, r => Assert.True(
            (r.Base >= PciFixture.Low && r.Last < PciFixture.Low + (2 * PciFixture.LowSize))
            || (r.Base >= PciFixture.High && r.Last < PciFixture.High + PciFixture.HighSize),
            r.ToString()));
    }

    [Fact]
    public void Hot_dispatch_allocates_nothing()
    {
        // Configuration space apart: its writes change the memory bus.
        (IoBus Bus, IoRange Range)[] hot =
        [
            .. _pci.Ports.Ranges.Where(r => r.Name != "pci config ports").Select(r => (_pci.Ports, r)),
            .. _pci.Memory.Ranges.Where(r => !r.Name.Contains("ecam")).Select(r => (_pci.Memory, r)),
        ];
        byte[] data = new byte[8];
        foreach ((IoBus bus, IoRange range) in hot)
        {
            for (int pass = 0; pass < 2; pass++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                Run(bus, range, data);
                long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                Assert.True(pass == 0 || allocated == 0, $"{range.Name}: {allocated} bytes allocated");
            }
        }

        static void Run(IoBus bus, IoRange range, byte[] data)
        {
            for (int i = 0; i < 2000; i++)
            {
                ulong offset = (ulong)i % Math.Min(range.Size, 64);
                int width = Widths[i % 4];
                data.AsSpan().Fill((byte)i);
                bus.Write(range.Base + offset, data.AsSpan(0, width));
                bus.Read(range.Base + offset, data.AsSpan(0, width));
            }
        }
    }

    private static int Hit(Random random, IoBus bus, IoRange range, int times)
    {
        int answered = 0;
        Span<byte> data = stackalloc byte[8];
        for (int i = 0; i < times; i++)
        {
            // Now and then past the end, where another range or nothing follows.
            ulong offset = (ulong)random.NextInt64((long)Math.Min(range.Size + 4, 1 << 20));
            Span<byte> access = data[..Widths[random.Next(4)]];
            random.NextBytes(access);
            ulong address = Math.Min(range.Base + offset, bus.Last);
            IoResult result = random.Next(2) == 0 ? bus.Read(address, access) : bus.Write(address, access);
            answered += result == IoResult.Ok ? 1 : 0;
        }

        return answered;
    }

    private void HitConfig(Random random)
    {
        for (int i = 0; i < 20; i++)
        {
            int slot = random.Next(6);
            ulong address = PciFixture.Ecam + (ulong)(random.Next(2) << 20) + (ulong)(slot << 15) + (ulong)random.Next(0x100);
            _pci.Memory.Store(address, Widths[random.Next(3)], (ulong)random.NextInt64());
            _pci.Ports.Out32(0xcf8, 0x8000_0000 | (uint)(slot << 11) | (uint)random.Next(0x100));
            _pci.Ports.Store(0xcfc + (ulong)random.Next(4), Widths[random.Next(3)], (ulong)random.NextInt64());
            _pci.Ports.Load(0xcfc + (ulong)random.Next(4), Widths[random.Next(3)]);
        }
    }

    /// <summary>Whatever state the guest drove the devices into can be saved and taken back.</summary>
    private void AssertRoundTrips()
    {
        PicState pic = _pic.Save();
        _pic.Restore(pic);
        Assert.Equal(pic, _pic.Save());
        IoApicState ioApic = _ioApic.Save();
        _ioApic.Restore(ioApic);
        Assert.Equal(ioApic.Redirection, _ioApic.Save().Redirection);
        PitState pit = _pit.Save();
        _pit.Restore(pit);
        Assert.Equal(pit.Channels, _pit.Save().Channels);
        RtcState rtc = _rtc.Save();
        _rtc.Restore(rtc);
        Assert.Equal(rtc.Cmos, _rtc.Save().Cmos);
        Serial16550State serial = _serial.Save();
        _serial.Restore(serial);
        Assert.Equal(serial.ReceiveFifo, _serial.Save().ReceiveFifo);
        GenericEventDeviceState ged = _ged.Save();
        _ged.Restore(ged);
        Assert.Equal(ged, _ged.Save());
        foreach (TestFunction function in _functions)
        {
            PciFunctionState saved = function.Save();
            function.Restore(saved);
            Assert.Equal(saved.Config, function.Save().Config);
        }
    }

    private sealed class CountingMachine : IMachineEvents
    {
        public int Requests { get; private set; }

        public void RequestReset(string source) => Requests++;

        public void RequestShutdown(string source) => Requests++;

        public void RequestSleep(string source, int sleepType) => Requests++;

        public void ReportPanic(PanicEvent panic) => Requests++;
    }

    private sealed class SilentSink : ISerialBackend, IByteSink
    {
        public bool Refuses { get; set; }

        public bool TryWrite(byte value) => !Refuses;

        public int Read(Span<byte> destination)
        {
            destination.Fill((byte)'x');
            return Refuses ? 0 : destination.Length;
        }

        public void Write(byte value)
        {
        }
    }
}
