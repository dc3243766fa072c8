using Cnvm.Arch.Acpi;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Tests.Fakes;

namespace Cnvm.Devices.Tests.Platform;

public sealed class PciHotplugTests
{
    private const int Segments = 2;
    private readonly RecordingLine _line = new();
    private readonly GenericEventDevice _ged;
    private readonly PciHotplug _hotplug;
    private int _calls;

    public PciHotplugTests()
    {
        _ged = new GenericEventDevice(_line);
        _hotplug = new PciHotplug(Segments, _ged, () => _calls++);
    }

    [Fact]
    public void News_are_told_once_and_by_segment()
    {
        _hotplug.NotifyAdded(new PciAddress(0, 5));
        _hotplug.NotifyAdded(new PciAddress(1, 31));
        _hotplug.RequestEject(new PciAddress(1, 0));
        Assert.True(_line.Level);
        Assert.Equal(GedEvents.PciChanged, _ged.Save().Pending);

        Assert.Equal(1u << 5, Read(PciHotplugDevice.UpRegister));
        Assert.Equal(0u, Read(PciHotplugDevice.UpRegister));
        Assert.Equal(0u, Read(PciHotplugDevice.DownRegister));
        Write(PciHotplugDevice.SegmentRegister, 1);
        Assert.Equal(1u, Read(PciHotplugDevice.SegmentRegister));
        Assert.Equal(1u << 31, Read(PciHotplugDevice.UpRegister));
        Assert.Equal(1u, Read(PciHotplugDevice.DownRegister));
        Assert.Equal(0u, Read(PciHotplugDevice.DownRegister));
    }

    [Fact]
    public void What_came_and_is_to_go_again_is_only_to_go()
    {
        _hotplug.NotifyAdded(new PciAddress(0, 5));
        _hotplug.RequestEject(new PciAddress(0, 5));
        Assert.Equal(0u, Read(PciHotplugDevice.UpRegister));
        Assert.Equal(1u << 5, Read(PciHotplugDevice.DownRegister));
    }

    [Fact]
    public void Slots_given_up_are_told_once_until_they_are_taken()
    {
        Write(PciHotplugDevice.EjectRegister, 0);
        Assert.Equal(0, _calls);
        for (int i = 0; i < 100; i++)
        {
            Write(PciHotplugDevice.EjectRegister, 1u << 4);
        }

        Write(PciHotplugDevice.SegmentRegister, 1);
        Write(PciHotplugDevice.EjectRegister, 1u << 31);
        Assert.Equal(1, _calls);
        Assert.Equal([new PciAddress(0, 4), new PciAddress(1, 31)], _hotplug.TakeEjected());
        Assert.Empty(_hotplug.TakeEjected());
        Write(PciHotplugDevice.EjectRegister, 1);
        Assert.Equal(2, _calls);
    }

    [Fact]
    public void A_hostile_guest_reaches_no_segment_that_does_not_exist()
    {
        foreach (uint segment in new[] { 2u, 96u, uint.MaxValue })
        {
            Write(PciHotplugDevice.SegmentRegister, segment);
            Assert.Equal(0u, Read(PciHotplugDevice.SegmentRegister));
        }

        Write(PciHotplugDevice.UpRegister, uint.MaxValue);
        Assert.Equal(0u, Read(PciHotplugDevice.UpRegister));
        Assert.Equal(0u, Read(PciHotplugDevice.EjectRegister));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Read(0, new byte[1]));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Write(0, new byte[8]));
        Assert.Equal(IoResult.Unaligned, _hotplug.Read(2, new byte[4]));
    }

    [Fact]
    public void State_survives_and_what_was_given_up_is_told_again()
    {
        _hotplug.NotifyAdded(new PciAddress(0, 5));
        _hotplug.RequestEject(new PciAddress(1, 7));
        Write(PciHotplugDevice.SegmentRegister, 1);
        Write(PciHotplugDevice.EjectRegister, 1u << 9);
        PciHotplugState saved = _hotplug.Save();

        int calls = 0;
        PciHotplug other = new(Segments, _ged, () => calls++);
        other.Restore(saved);
        Assert.Equivalent(saved, other.Save(), strict: true);
        Assert.Equal(1, calls);
        Assert.Equal([new PciAddress(1, 9)], other.TakeEjected());

        foreach (PciHotplugState bad in new[]
        {
            saved with { Selected = Segments },
            saved with { Up = [0] },
            saved with { Down = [0, 0, 0] },
            saved with { Ejected = [0, 1UL << 32] },
        })
        {
            Assert.Throws<DeviceStateException>(() => other.Restore(bad));
        }
    }

    private uint Read(int register) => _hotplug.Read32(register);

    private void Write(int register, uint value) => _hotplug.Write32(register, value);
}
