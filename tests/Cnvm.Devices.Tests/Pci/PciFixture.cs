using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Pci;

/// <summary>A machine with two segments and an I/O APIC's place taken, and configuration accesses by either mechanism.</summary>
internal sealed class PciFixture
{
    public const ulong Ecam = 0xe800_0000;
    public const ulong Low = 0xc000_0000;
    public const ulong LowSize = 0x1000_0000;
    public const ulong High = 0x40_0000_0000;
    public const ulong HighSize = 0x10_0000_0000;

    public PciFixture()
    {
        Platform = new RecordingDevice(0x99);
        Memory.Register(0xfec0_0000, 0x1000, Platform, "ioapic");
        Host = new PciHost(Memory, Ports, [
            new PciSegmentLayout(0, Ecam, new AddressWindow(Low, LowSize), new AddressWindow(High, HighSize)),
            new PciSegmentLayout(1, Ecam + PciSegment.EcamSize, new AddressWindow(Low + LowSize, LowSize), default)]);
        Host.Attach(new PciHostBridge(NullLogger.Instance), 0, 0);
    }

    public IoBus Memory { get; } = new("memory", (1ul << 46) - 1, NullLogger.Instance);

    public IoBus Ports { get; } = new("port", IoBus.LastPort, NullLogger.Instance);

    public RecordingDevice Platform { get; }

    public PciHost Host { get; }

    public ulong Config(PciFunction function, int register) =>
        Ecam + ((ulong)function.Address!.Value.Segment * PciSegment.EcamSize)
        + ((ulong)function.Address!.Value.Slot << 15) + (ulong)register;

    public uint Read32(PciFunction function, int register) => Memory.In32(Config(function, register));

    public void Write32(PciFunction function, int register, uint value) => Memory.Out32(Config(function, register), value);

    public void Write16(PciFunction function, int register, ushort value) => Memory.Out16(Config(function, register), value);

    public void Decode(PciFunction function) => Write16(function, PciConfigSpace.Command, PciConfigSpace.CommandMemory);
}
