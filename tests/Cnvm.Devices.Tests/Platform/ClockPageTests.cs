using System.Buffers.Binary;
using Cnvm.Arch.Acpi;
using Cnvm.Devices.Platform;
using Cnvm.Devices.Tests.Fakes;

namespace Cnvm.Devices.Tests.Platform;

public sealed class ClockPageTests
{
    private const ulong Gpa = 0x1000;
    private readonly ArrayRam _ram = new(0x3000);
    private readonly GenericEventDevice _ged = new(new RecordingLine());
    private readonly List<(ulong Gpa, int Length)> _written = [];

    /// <summary>Offsets and numbers are those of linux/vmclock-abi.h, once more and without the names that the device uses.</summary>
    [Fact]
    public void A_new_page_is_what_a_driver_expects()
    {
        _ram.GetSpan(Gpa, 0x1000).Fill(0xaa);
        Make().Initialize();
        Span<byte> page = _ram.GetSpan(Gpa, 0x1000);
        Assert.Equal("VCLK"u8.ToArray(), page[..4].ToArray());
        Assert.Equal(0x1000u, BinaryPrimitives.ReadUInt32LittleEndian(page[4..]));
        Assert.Equal(1, BinaryPrimitives.ReadUInt16LittleEndian(page[8..]));
        Assert.Equal(0xff, page[10]);
        Assert.Equal(0x300UL, BinaryPrimitives.ReadUInt64LittleEndian(page[24..]));
        Assert.True(page[11..24].IndexOfAnyExcept((byte)0) < 0, "time type, sequence and marker start at 0");
        Assert.True(page[32..].IndexOfAnyExcept((byte)0) < 0, "status is unknown, no time is told");
        Assert.Equal([(Gpa, 0x1000)], _written);
        Assert.Equal(GedEvents.None, _ged.Save().Pending);
    }

    [Fact]
    public void Restores_and_moves_are_told_apart_and_announced()
    {
        ClockPage clock = Make();
        clock.Initialize();
        _written.Clear();
        clock.Disrupt(isAnotherGeneration: false);
        Assert.Equal((2u, 1UL, 0UL), Read());
        Assert.Equal(GedEvents.ClockChanged, _ged.Save().Pending);
        Assert.Equal((byte)ClockPageDevice.ChangedEvent, (byte)GedEvents.ClockChanged);
        clock.Disrupt(isAnotherGeneration: true);
        Assert.Equal((4u, 2UL, 1UL), Read());
        Assert.Equal([(Gpa, 0x70), (Gpa, 0x70)], _written);
    }

    /// <summary>The page is the guest's memory: what it writes there neither lasts nor leads the device astray.</summary>
    [Fact]
    public void A_saved_page_goes_on_from_its_own_count()
    {
        ClockPage clock = Make();
        clock.Initialize();
        clock.Disrupt(isAnotherGeneration: true);
        _ram.GetSpan(Gpa + 0x0c, 4).Fill(0xff);
        _ram.GetSpan(Gpa + 0x10, 8).Fill(0xff);
        ClockPage other = new(_ram, (_, _) => { }, _ged, 0);
        other.Restore(clock.Save());
        Assert.Equal(new ClockPageState(Gpa, 2, 1, 1), other.Save());
        other.Disrupt(isAnotherGeneration: true);
        Assert.Equal((4u, 2UL, 2UL), Read());
    }

    [Fact]
    public void Counts_begin_again_after_the_last_number()
    {
        ClockPage clock = Make();
        clock.Restore(new ClockPageState(Gpa, uint.MaxValue - 1, ulong.MaxValue, ulong.MaxValue));
        clock.Disrupt(isAnotherGeneration: true);
        Assert.Equal((0u, 0UL, 0UL), Read());
    }

    [Theory]
    [InlineData(0x3000, 0)]
    [InlineData(0x8000_0000_0000, 0)]
    [InlineData(0x1010, 0)]
    [InlineData(0x2000, 3)]
    public void A_state_that_cannot_be_is_refused(ulong address, uint sequence)
    {
        ClockPage clock = Make();
        Assert.Throws<DeviceStateException>(() => clock.Restore(new ClockPageState(address, sequence, 1, 1)));
        Assert.Equal(Gpa, clock.Address);
    }

    /// <summary>Whoever reads by the protocol, as programs on other processors do, never sees half an update.</summary>
    [Fact]
    public void Readers_see_whole_updates_while_the_page_changes()
    {
        const uint Updates = 200_000;
        ClockPage clock = new(_ram, (_, _) => { }, _ged, Gpa);
        clock.Initialize();
        string? torn = null;
        uint seen = 0;
        var reader = new Thread(() =>
        {
            for (uint last = 0; last < 2 * Updates && torn is null;)
            {
                (uint sequence, ulong disruptions, ulong generations) = Read();
                seen += sequence != last ? 1u : 0;
                torn = sequence < last || disruptions != sequence / 2 || generations != disruptions
                    ? $"{disruptions} disruptions and {generations} generations at {sequence} after {last}"
                    : null;
                last = sequence;
            }
        });
        reader.Start();
        for (uint i = 0; i < Updates; i++)
        {
            clock.Disrupt(isAnotherGeneration: true);
        }

        Assert.True(reader.Join(TimeSpan.FromMinutes(1)), "the reader never saw the last update");
        Assert.Null(torn);
        Assert.True(seen > 0);
    }

    private ClockPage Make() => new(_ram, (gpa, length) => _written.Add((gpa, length)), _ged, Gpa);

    private (uint Sequence, ulong Disruptions, ulong Generations) Read()
    {
        Span<byte> page = _ram.GetSpan(Gpa, 0x70);
        ref uint sequence = ref System.Runtime.InteropServices.MemoryMarshal.Cast<byte, uint>(page[0x0c..])[0];
        ref ulong marker = ref System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(page[0x10..])[0];
        ref ulong counter = ref System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(page[0x68..])[0];
        while (true)
        {
            uint before = Volatile.Read(ref sequence);
            ulong disruptions = Volatile.Read(ref marker);
            ulong generations = Volatile.Read(ref counter);
            Interlocked.MemoryBarrier();
            if ((before & 1) == 0 && Volatile.Read(ref sequence) == before)
            {
                return (before, disruptions, generations);
            }
        }
    }
}
