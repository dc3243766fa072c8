using Cnvm.Arch.Acpi;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Tests.Fakes;

namespace Cnvm.Devices.Tests.Platform;

public sealed class MemoryHotplugTests
{
    private const ulong MiB = 1UL << 20;
    private static readonly AddressRange First = new(0x1_8000_0000, 128 * MiB);
    private static readonly AddressRange Second = new(0x1_8800_0000, 0x12_3800_0000);
    private readonly RecordingLine _line = new();
    private readonly GenericEventDevice _ged;
    private readonly MemoryHotplug _hotplug;

    public MemoryHotplugTests()
    {
        _ged = new GenericEventDevice(_line);
        _hotplug = new MemoryHotplug([First], _ged);
    }

    [Fact]
    public void What_comes_is_told_and_what_was_there_at_boot_is_shown()
    {
        Assert.False(_line.Level);
        Assert.Equal((First, MemoryHotplugDevice.EnabledFlag), Slot(0));
        Assert.Equal((default, (byte)0), Slot(1));

        _hotplug.Insert(Second);
        Assert.True(_line.Level);
        Assert.Equal(GedEvents.MemoryChanged, _ged.Save().Pending);
        Assert.Equal((Second, (byte)(MemoryHotplugDevice.EnabledFlag | MemoryHotplugDevice.InsertingFlag)), Slot(1));
        Assert.Equal(0u, Read(MemoryHotplugDevice.ProximityRegister));

        // Only a written one clears the flag, and only the selected slot's.
        WriteFlags(0);
        WriteFlags(MemoryHotplugDevice.EnabledFlag);
        Assert.Equal(MemoryHotplugDevice.EnabledFlag | MemoryHotplugDevice.InsertingFlag, Slot(1).Flags);
        Write(MemoryHotplugDevice.SelectRegister, 0);
        WriteFlags(MemoryHotplugDevice.InsertingFlag);
        Assert.Equal(MemoryHotplugDevice.EnabledFlag | MemoryHotplugDevice.InsertingFlag, Slot(1).Flags);
        WriteFlags(MemoryHotplugDevice.InsertingFlag);
        Assert.Equal(MemoryHotplugDevice.EnabledFlag, Slot(1).Flags);
        Assert.Equal(Second, Slot(1).Memory);
    }

    [Fact]
    public void There_are_eight_slots()
    {
        for (int i = 1; i < MemoryHotplugDevice.Slots; i++)
        {
            _hotplug.Insert(First with { Start = First.Start + ((ulong)i * First.Length) });
        }

        Assert.Throws<InvalidOperationException>(() => _hotplug.Insert(Second));
        Assert.Equal(First.Start + (7 * First.Length), Slot(7).Memory.Start);
    }

    /// <summary>Whatever the guest writes, all it changes is which slot it looks at, and whether it has heard of it.</summary>
    [Fact]
    public void A_hostile_guest_changes_no_memory()
    {
        _hotplug.Insert(Second);
        foreach (uint slot in new[] { 2u, 7u, 8u, 31u, 32u, 33u, 0x8000_0000, uint.MaxValue })
        {
            Assert.Equal((default, (byte)0), Slot(slot));
            WriteFlags(0xff);
            Write(MemoryHotplugDevice.FlagsRegister, uint.MaxValue);
        }

        for (int register = 4; register < MemoryHotplugDevice.RegisterBytes; register += 4)
        {
            Write(register, 0xdead_beef);
        }

        Assert.Equal((First, MemoryHotplugDevice.EnabledFlag), Slot(0));
        Assert.Equal((Second, (byte)(MemoryHotplugDevice.EnabledFlag | MemoryHotplugDevice.InsertingFlag)), Slot(1));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Read(0, new byte[1]));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Read(MemoryHotplugDevice.FlagsRegister + 1, new byte[1]));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Write(0, new byte[8]));
        Assert.Equal(IoResult.InvalidSize, _hotplug.Write(0, default));
        Assert.Equal(IoResult.Unaligned, _hotplug.Read(2, new byte[4]));
        Assert.Equal(IoResult.Unaligned, _hotplug.Write(22, new byte[4]));
    }

    [Fact]
    public void State_survives_and_that_of_other_memory_is_refused()
    {
        _hotplug.Insert(Second);
        Write(MemoryHotplugDevice.SelectRegister, 0xffff_fff1);
        MemoryHotplugState saved = _hotplug.Save();

        MemoryHotplug other = new([First, Second], _ged);
        other.Restore(saved);
        Assert.Equivalent(saved, other.Save(), strict: true);

        foreach (MemoryHotplugState bad in new[]
        {
            saved with { Starts = [First.Start] },
            saved with { Starts = [Second.Start, First.Start] },
            saved with { Lengths = [First.Length, First.Length] },
            saved with { Lengths = [] },
            saved with { Inserting = 1 << 2 },
            saved with { Inserting = uint.MaxValue },
        })
        {
            Assert.Throws<DeviceStateException>(() => other.Restore(bad));
        }

        Assert.Throws<DeviceStateException>(() => new MemoryHotplug([First], _ged).Restore(saved));
        Assert.Equivalent(saved, other.Save(), strict: true);
    }

    private (AddressRange Memory, byte Flags) Slot(uint slot)
    {
        Write(MemoryHotplugDevice.SelectRegister, slot);
        byte[] flags = new byte[1];
        Assert.Equal(IoResult.Ok, _hotplug.Read(MemoryHotplugDevice.FlagsRegister, flags));
        return (new AddressRange(Wide(MemoryHotplugDevice.BaseRegister), Wide(MemoryHotplugDevice.LengthRegister)), flags[0]);
    }

    private ulong Wide(int register) => Read(register) | ((ulong)Read(register + 4) << 32);

    private uint Read(int register) => _hotplug.Read32(register);

    private void Write(int register, uint value) => _hotplug.Write32(register, value);

    private void WriteFlags(byte value) => Assert.Equal(IoResult.Ok, _hotplug.Write(MemoryHotplugDevice.FlagsRegister, [value]));
}
