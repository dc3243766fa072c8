using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Pci;

/// <summary>A function with a 32-bit BAR 0, a 64-bit BAR 2, MSI-X in BAR 4 and a vendor capability.</summary>
internal sealed class TestFunction : PciFunction
{
    public const ulong Bar0Size = 0x2000;
    public const ulong Bar2Size = 0x10_0000;

    public TestFunction(string name, RecordingMsi? msi = null, IInterruptLine? pin = null, byte fill = 0x5a)
        : base(name, new PciIdentity(0x1af4, 0x1042, 0x01_80_00, 1, 0x1af4, 0x1100), NullLogger.Instance)
    {
        Registers = new RecordingDevice(fill);
        Memory = new RecordingDevice((byte)(fill + 1));
        AddBar(0, Bar0Size, PciBarKind.Memory32, Registers);
        AddBar(2, Bar2Size, PciBarKind.Memory64Prefetchable, Memory);
        VendorCapability = AddCapability(PciConfigSpace.CapabilityVendorSpecific, [16, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        if (msi is not null)
        {
            MsixTable table = new(3, msi);
            IoRegions regions = new IoRegions().Add(0, table.TableSize, table.Table).Add(0x800, table.PbaSize, table.Pba);
            AddBar(4, 0x1000, PciBarKind.Memory32, regions);
            MsixCapability = AddMsix(table, 4, 0, 4, 0x800);
        }

        if (pin is not null)
        {
            AddInterruptPin(pin, 11);
        }
    }

    public RecordingDevice Registers { get; }

    public RecordingDevice Memory { get; }

    public int VendorCapability { get; }

    public int MsixCapability { get; }

    public List<(int Index, ulong? Mapping)> Mappings { get; } = [];

    public PciFunctionState Save() => SaveFunction();

    public void Restore(PciFunctionState state) => RestoreFunction(state);

    public void Raise(bool asserted) => SetInterruptPin(asserted);

    protected override void OnBarMapped(int index, ulong? mapping) => Mappings.Add((index, mapping));
}
