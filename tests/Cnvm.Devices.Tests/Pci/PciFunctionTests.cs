using Cnvm.Devices.Pci;
using Cnvm.Devices.Tests.Fakes;

namespace Cnvm.Devices.Tests.Pci;

public sealed class PciFunctionTests
{
    private readonly PciFixture _pci = new();
    private readonly RecordingMsi _msi = new();
    private readonly RecordingLine _pin = new();
    private readonly TestFunction _function;

    public PciFunctionTests()
    {
        _function = new TestFunction("function", _msi, _pin);
        _pci.Host.Attach(_function, 0, 3);
    }

    [Fact]
    public void Header_tells_what_the_function_is()
    {
        Assert.Equal(0x1042_1af4u, _pci.Read32(_function, 0));
        Assert.Equal(0x0180_0001u, _pci.Read32(_function, 8));
        Assert.Equal(0x1100_1af4u, _pci.Read32(_function, 0x2c));
        Assert.Equal(0x0000_010bu, _pci.Read32(_function, 0x3c));
        _pci.Write32(_function, 0, 0);
        _pci.Write32(_function, 8, 0);
        Assert.Equal(0x1042_1af4u, _pci.Read32(_function, 0));
        Assert.Equal(0x0180_0001u, _pci.Read32(_function, 8));
    }

    [Fact]
    public void Command_register_keeps_only_what_exists()
    {
        _pci.Write16(_function, PciConfigSpace.Command, 0xffff);
        Assert.Equal(0x0010_0406u, _pci.Read32(_function, PciConfigSpace.Command));
        Assert.True(_function.IsBusMaster);
    }

    [Fact]
    public void Capabilities_are_a_chain()
    {
        List<byte> ids = [];
        int offset = _pci.Memory.In8(_pci.Config(_function, PciConfigSpace.CapabilitiesPointer));
        for (int i = 0; offset != 0 && i < 10; i++)
        {
            Assert.Equal(0, offset & 3);
            ids.Add(_pci.Memory.In8(_pci.Config(_function, offset)));
            offset = _pci.Memory.In8(_pci.Config(_function, offset + 1));
        }

        Assert.Equal([PciConfigSpace.CapabilityVendorSpecific, PciConfigSpace.CapabilityMsix], ids);
        Assert.Equal(0x0110_0009u, _pci.Read32(_function, _function.VendorCapability) & 0xffff_00ff);
        Assert.Equal(2u, _pci.Read32(_function, _function.MsixCapability) >> 16);
        Assert.Equal(4u, _pci.Read32(_function, _function.MsixCapability + 4));
        Assert.Equal(0x804u, _pci.Read32(_function, _function.MsixCapability + 8));
    }

    [Fact]
    public void Bars_tell_their_size()
    {
        _pci.Write32(_function, 0x10, 0xffff_ffff);
        Assert.Equal(0xffff_e000u, _pci.Read32(_function, 0x10));
        _pci.Write32(_function, 0x14, 0xffff_ffff);
        Assert.Equal(0u, _pci.Read32(_function, 0x14));
        _pci.Write32(_function, 0x18, 0xffff_ffff);
        _pci.Write32(_function, 0x1c, 0xffff_ffff);
        Assert.Equal(0xfff0_000cu, _pci.Read32(_function, 0x18));
        Assert.Equal(0xffff_ffffu, _pci.Read32(_function, 0x1c));
        _pci.Write32(_function, 0x30, 0xffff_ffff);
        Assert.Equal(0u, _pci.Read32(_function, 0x30));
    }

    [Fact]
    public void Regions_answer_only_while_decoded()
    {
        ulong low = _function.GetBarBase(0);
        ulong high = _function.GetBarBase(2);
        Assert.InRange(low, PciFixture.Low, PciFixture.Low + PciFixture.LowSize - 1);
        Assert.InRange(high, PciFixture.High, PciFixture.High + PciFixture.HighSize - 1);
        Assert.Equal(0xff, _pci.Memory.In8(low));

        _pci.Decode(_function);
        Assert.Equal(0x5a, _pci.Memory.In8(low + 0x1fff));
        Assert.Equal(0x5b, _pci.Memory.In8(high + 0x1234));
        Assert.Equal(0x1234ul, _function.Memory.LastOffset);

        _pci.Write16(_function, PciConfigSpace.Command, 0);
        Assert.Equal(0xff, _pci.Memory.In8(low));
        Assert.Equal([(0, low), (2, high), (4, _function.GetBarBase(4)), (0, null), (2, null), (4, null)], _function.Mappings);
    }

    [Fact]
    public void Regions_move_while_decoded()
    {
        _pci.Decode(_function);
        ulong before = _function.GetBarBase(0);
        _pci.Write32(_function, 0x10, 0xc800_0000);
        Assert.Equal(0xff, _pci.Memory.In8(before));
        Assert.Equal(0x5a, _pci.Memory.In8(0xc800_0000));

        // A 64-bit BAR moves in two writes and may pass through where nothing can be.
        _pci.Write32(_function, 0x1c, 0x4f);
        _pci.Write32(_function, 0x18, 0x1230_0000);
        Assert.Equal(0x5b, _pci.Memory.In8(0x4f_1230_0000));

        // It may also lie in the window below 4 GiB.
        _pci.Write32(_function, 0x18, 0xc900_0000);
        _pci.Write32(_function, 0x1c, 0);
        Assert.Equal(0x5b, _pci.Memory.In8(0xc900_0000));
    }

    [Theory]
    [InlineData(0x0000_0000u)]
    [InlineData(0x0010_0000u)]
    [InlineData(0xfec0_0000u)]
    [InlineData(0xe800_0000u)]
    [InlineData(0xfee0_0000u)]
    [InlineData(0xffff_e000u)]
    [InlineData(0xbfff_e000u)]
    [InlineData(0xd000_0000u)]
    public void Regions_outside_the_windows_answer_nowhere(uint address)
    {
        _pci.Decode(_function);
        byte there = _pci.Memory.In8(address);
        _pci.Write32(_function, 0x10, address);
        Assert.Null(_function.GetBarMapping(0));
        Assert.Equal(there, _pci.Memory.In8(address));
        Assert.Equal(0, _function.Registers.Reads);
        _pci.Write32(_function, 0x10, 0xc000_0000 + 0x0800_0000);
        Assert.Equal(0x5a, _pci.Memory.In8(0xc800_0000));
    }

    [Fact]
    public void Of_two_regions_at_one_address_the_first_answers_until_it_goes()
    {
        TestFunction second = new("second", fill: 0x70);
        _pci.Host.Attach(second, 0, 4);
        _pci.Decode(_function);
        _pci.Decode(second);
        uint contested = (uint)_function.GetBarBase(0);
        _pci.Write32(second, 0x10, contested);
        Assert.Equal(0x5a, _pci.Memory.In8(contested));
        Assert.Null(second.GetBarMapping(0));

        _pci.Write32(_function, 0x10, 0xc800_0000);
        Assert.Equal(0x70, _pci.Memory.In8(contested));
        Assert.Equal(0x5a, _pci.Memory.In8(0xc800_0000));

        _pci.Write32(_function, 0x10, contested);
        Assert.Equal(0x70, _pci.Memory.In8(contested));
        _pci.Host.Detach(second);
        Assert.Equal(0x5a, _pci.Memory.In8(contested));
    }

    [Fact]
    public void Pin_follows_the_device_and_the_disable_bit()
    {
        _function.Raise(true);
        Assert.True(_pin.Level);
        Assert.Equal(0x8u, (_pci.Read32(_function, 4) >> 16) & 0x8);
        _pci.Write16(_function, PciConfigSpace.Command, PciConfigSpace.CommandInterruptDisable);
        Assert.False(_pin.Level);
        Assert.Equal(0x8u, (_pci.Read32(_function, 4) >> 16) & 0x8);
        _pci.Write16(_function, PciConfigSpace.Command, 0);
        Assert.True(_pin.Level);
        _function.Raise(false);
        Assert.False(_pin.Level);
        Assert.Equal(0u, (_pci.Read32(_function, 4) >> 16) & 0x8);
    }

    [Fact]
    public void Reset_brings_back_what_the_machine_set_up()
    {
        ulong initial = _function.GetBarBase(0);
        PciFunctionState before = _function.Save();
        _pci.Decode(_function);
        _pci.Write32(_function, 0x10, 0xc800_0000);
        _pci.Write16(_function, _function.MsixCapability + 2, PciConfigSpace.MsixEnable);
        _function.Raise(true);
        _pci.Host.Reset();
        Assert.Equal(initial, _function.GetBarBase(0));
        Assert.Equal(0xff, _pci.Memory.In8(0xc800_0000));
        Assert.False(_function.Msix!.IsEnabled);
        Assert.False(_pin.Level);
        Assert.Equal(before.Config, _function.Save().Config);
    }

    [Fact]
    public void Restored_functions_answer_where_the_saved_ones_did()
    {
        _pci.Decode(_function);
        _pci.Write32(_function, 0x10, 0xc800_0000);
        _pci.Memory.Out32(_function.GetBarMapping(4)!.Value, 0xfee0_1000);
        _pci.Memory.Out32(_function.GetBarMapping(4)!.Value + 8, 0x41);
        _pci.Memory.Out32(_function.GetBarMapping(4)!.Value + 12, 0);
        _pci.Write16(_function, _function.MsixCapability + 2, PciConfigSpace.MsixEnable);
        _function.Raise(true);
        PciFunctionState saved = _function.Save();

        PciFixture other = new();
        RecordingMsi msi = new();
        RecordingLine pin = new();
        TestFunction twin = new("twin", msi, pin);
        other.Host.Attach(twin, 0, 3);
        twin.Restore(saved);
        PciFunctionState again = twin.Save();
        Assert.Equal(saved.Config, again.Config);
        Assert.Equal(saved.Msix!.Entries, again.Msix!.Entries);
        Assert.True(again.IsPinAsserted && pin.Level);
        Assert.Equal(0x5a, other.Memory.In8(0xc800_0000));
        Assert.True(twin.Msix!.Signal(0));
        Assert.Equal(0x41u, Assert.Single(msi.Sent).Data);
    }

    [Fact]
    public void State_of_another_device_is_refused()
    {
        PciFunctionState saved = _function.Save();
        byte[] foreign = [.. saved.Config];
        foreign[0] ^= 1;
        DeviceStateException refusal = Assert.Throws<DeviceStateException>(() => _function.Restore(saved with { Config = foreign }));
        Assert.Equal(("function", "Config"), (refusal.Device, refusal.Field));
        Assert.Throws<DeviceStateException>(() => _function.Restore(saved with { Config = new byte[64] }));
        Assert.Throws<DeviceStateException>(() => _function.Restore(saved with { Msix = null }));
        Assert.Throws<DeviceStateException>(() => new TestFunction("function", _msi).Restore(saved with { IsPinAsserted = true }));
        Assert.Throws<DeviceStateException>(() => _function.Restore(saved with { Msix = new MsixTableState { Entries = [] } }));
        Assert.Equal(saved.Config, _function.Save().Config);
    }

    [Fact]
    public void Bars_that_cannot_be_are_refused_when_built()
    {
        Assert.Throws<ArgumentException>(() => new OddBars(0, 3000, PciBarKind.Memory32));
        Assert.Throws<ArgumentException>(() => new OddBars(0, 8, PciBarKind.Memory32));
        Assert.Throws<ArgumentException>(() => new OddBars(0, 1ul << 32, PciBarKind.Memory32));
        Assert.Throws<ArgumentOutOfRangeException>(() => new OddBars(5, 4096, PciBarKind.Memory64));
        Assert.Throws<ArgumentException>(() => new OddBars(3, 4096, PciBarKind.Memory64));
    }

    private sealed class OddBars : PciFunction
    {
        public OddBars(int index, ulong size, PciBarKind kind)
            : base("odd", default, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance)
        {
            AddBar(4, 4096, PciBarKind.Memory32, new RecordingDevice());
            AddBar(index, size, kind, new RecordingDevice());
        }
    }
}
