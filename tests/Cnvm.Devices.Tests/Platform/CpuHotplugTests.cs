using Cnvm.Arch.Acpi;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Tests.Fakes;

namespace Cnvm.Devices.Tests.Platform;

public sealed class CpuHotplugTests
{
    private const int Most = 4;
    private readonly RecordingLine _line = new();
    private readonly GenericEventDevice _ged;
    private readonly CpuHotplug _hotplug;
    private int _calls;

    public CpuHotplugTests()
    {
        _ged = new GenericEventDevice(_line);
        _hotplug = new CpuHotplug(Most, 1, _ged, () => _calls++);
    }

    /// <summary>As the AML does it: ask for the next with news, tell the guest, acknowledge, until there is none.</summary>
    [Fact]
    public void Whoever_has_news_is_found_in_turn_until_the_guest_has_heard_of_all()
    {
        Assert.Equal(CpuHotplugDevice.NoNews, News());
        _hotplug.NotifyAdded([1, 3]);
        Assert.True(_line.Level);
        Assert.Equal(GedEvents.CpuChanged, _ged.Save().Pending);
        foreach (uint vcpu in new[] { 1u, 3u })
        {
            Assert.Equal(vcpu, News());
            Assert.Equal(vcpu, News());
            Assert.Equal(CpuHotplugDevice.PresentFlag | CpuHotplugDevice.InsertedFlag, Flags());
            SetFlags(CpuHotplugDevice.InsertedFlag);
            Assert.Equal(CpuHotplugDevice.PresentFlag, Flags());
        }

        Assert.Equal(CpuHotplugDevice.NoNews, News());
        _hotplug.RequestEject([3]);
        Assert.Equal(3u, News());
        Assert.Equal(CpuHotplugDevice.PresentFlag | CpuHotplugDevice.RemovalFlag, Flags());
        SetFlags(CpuHotplugDevice.RemovalFlag);
        Assert.Equal(CpuHotplugDevice.NoNews, News());
    }

    [Fact]
    public void A_removal_is_pending_until_the_vCPU_has_been_taken_and_can_be_asked_for_again()
    {
        _hotplug.NotifyAdded([1, 2]);
        _hotplug.RequestEject([1, 2]);
        Assert.True(_hotplug.IsRemovalPending);
        Acknowledge();
        Assert.True(_hotplug.IsRemovalPending);
        _hotplug.RepeatRequests();
        Assert.Equal(1u, News());
        Assert.Equal(CpuHotplugDevice.PresentFlag | CpuHotplugDevice.RemovalFlag, Flags());
        Acknowledge();
        Eject(2);
        Assert.Equal(0, Flags());
        Assert.True(_hotplug.IsRemovalPending);
        _hotplug.RepeatRequests();
        Assert.Equal(1u, News());
        Eject(1);
        Assert.Equal(CpuHotplugDevice.NoNews, News());
        Assert.True(_hotplug.IsRemovalPending);
        Assert.Equal([1, 2], _hotplug.TakeEjected());
        Assert.False(_hotplug.IsRemovalPending);
    }

    [Fact]
    public void VCPUs_given_up_are_told_once_until_they_are_taken()
    {
        _hotplug.NotifyAdded([1, 2]);
        for (int i = 0; i < 100; i++)
        {
            Eject(1);
            Eject(2);
        }

        Assert.Equal(1, _calls);
        Assert.Equal([1, 2], _hotplug.TakeEjected());
        Assert.Empty(_hotplug.TakeEjected());
        _hotplug.NotifyAdded([2]);
        Eject(2);
        Assert.Equal(2, _calls);
    }

    [Fact]
    public void A_hostile_guest_gives_up_nothing_that_is_not_there_and_never_the_first()
    {
        foreach (uint vcpu in new[] { 4u, 8191u, uint.MaxValue })
        {
            Write(CpuHotplugDevice.SelectRegister, vcpu);
            Assert.Equal(0u, Read(CpuHotplugDevice.SelectRegister));
        }

        for (uint vcpu = 0; vcpu < Most; vcpu++)
        {
            Write(CpuHotplugDevice.SelectRegister, vcpu);
            for (int flags = 0; flags <= byte.MaxValue; flags++)
            {
                SetFlags((byte)flags);
            }
        }

        Assert.Equal(0, _calls);
        Assert.Empty(_hotplug.TakeEjected());
        Assert.Equal([1, 0, 0, 0], _hotplug.Save().Vcpus);
        Write(CpuHotplugDevice.NewsRegister, 7);
        Assert.Equal(CpuHotplugDevice.NoNews, News());
        Assert.Equal(IoResult.InvalidSize, _hotplug.Read(CpuHotplugDevice.FlagsRegister, new byte[4]));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Write(CpuHotplugDevice.SelectRegister, new byte[1]));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Read(CpuHotplugDevice.NewsRegister, new byte[8]));
        Assert.Equal(IoResult.InvalidRegister, _hotplug.Read(2, new byte[4]));
        Assert.Equal(IoResult.InvalidRegister, _hotplug.Write(5, new byte[1]));
    }

    [Fact]
    public void State_survives_and_what_was_given_up_is_told_again()
    {
        _hotplug.NotifyAdded([1, 2, 3]);
        _hotplug.RequestEject([2, 3]);
        Eject(3);
        CpuHotplugState saved = _hotplug.Save();
        Assert.Equal([true, true, true, true], Enumerable.Range(0, Most).Select(saved.Has));

        int calls = 0;
        CpuHotplug other = new(Most, 1, _ged, () => calls++);
        other.Restore(saved);
        Assert.Equivalent(saved, other.Save(), strict: true);
        Assert.Equal(1, calls);
        Assert.True(other.IsRemovalPending);
        Assert.Equal([3], other.TakeEjected());

        foreach (CpuHotplugState bad in new[]
        {
            saved with { Selected = Most },
            saved with { Vcpus = [1] },
            saved with { Vcpus = [1, 0, 0, 0, 0] },
            saved with { Vcpus = [0, 1, 0, 0] },
            saved with { Vcpus = [16, 0, 0, 0] },
            saved with { Vcpus = [9, 0, 0, 0] },
            saved with { Vcpus = [1, 32, 0, 0] },
            saved with { Vcpus = [1, 17, 0, 0] },
            saved with { Vcpus = [1, 8, 0, 0] },
        })
        {
            Assert.Throws<DeviceStateException>(() => other.Restore(bad));
        }
    }

    private void Acknowledge()
    {
        while (News() != CpuHotplugDevice.NoNews)
        {
            SetFlags(CpuHotplugDevice.InsertedFlag);
            SetFlags(CpuHotplugDevice.RemovalFlag);
        }
    }

    private void Eject(uint vcpu)
    {
        Write(CpuHotplugDevice.SelectRegister, vcpu);
        SetFlags(CpuHotplugDevice.EjectFlag);
    }

    private uint News() => Read(CpuHotplugDevice.NewsRegister);

    private int Flags()
    {
        byte[] data = new byte[1];
        Assert.Equal(IoResult.Ok, _hotplug.Read(CpuHotplugDevice.FlagsRegister, data));
        return data[0];
    }

    private void SetFlags(byte flags) => Assert.Equal(IoResult.Ok, _hotplug.Write(CpuHotplugDevice.FlagsRegister, [flags]));

    private uint Read(int register) => _hotplug.Read32(register);

    private void Write(int register, uint value) => _hotplug.Write32(register, value);
}
