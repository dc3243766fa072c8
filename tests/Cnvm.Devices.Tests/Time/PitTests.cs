using Cnvm.Devices.Bus;
using Cnvm.Devices.Tests.Fakes;
using Cnvm.Devices.Time;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Time;

public sealed class PitTests
{
    private const ulong Millisecond = 1_000_000;

    private readonly IoBus _ports = new("port", IoBus.LastPort, NullLogger.Instance);
    private readonly ManualClock _clock = new() { Nanoseconds = 12_345 };
    private readonly RecordingLine _line = new();
    private readonly Pit _pit;

    public PitTests()
    {
        _pit = new Pit(_clock, _line);
        _pit.Register(_ports);
    }

    private void Program(int channel, int mode, int count, bool bcd = false)
    {
        _ports.Out8(0x43, (byte)((channel << 6) | 0x30 | (mode << 1) | (bcd ? 1 : 0)));
        _ports.Out8((ulong)(0x40 + channel), (byte)count);
        _ports.Out8((ulong)(0x40 + channel), (byte)(count >> 8));
    }

    private int Count(int channel)
    {
        _ports.Out8(0x43, (byte)(channel << 6));
        return _ports.In8((ulong)(0x40 + channel)) | (_ports.In8((ulong)(0x40 + channel)) << 8);
    }

    private bool Output2 => (_ports.In8(0x61) & 0x20) != 0;

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData(7)]
    public void Periodic_modes_tick_at_the_programmed_rate(int mode)
    {
        Program(0, mode, 11932);
        int before = _line.Rises;
        _clock.Advance(1000 * Millisecond);
        Assert.InRange(_line.Rises - before, 99, 100);
    }

    [Fact]
    public void Zero_stands_for_65536()
    {
        Program(0, 2, 0);
        int before = _line.Rises;
        _clock.Advance(10_000 * Millisecond);
        Assert.InRange(_line.Rises - before, 181, 182);
    }

    [Fact]
    public void A_guest_cannot_make_the_timer_run_wild()
    {
        Program(0, 2, 2);
        _clock.Advance(100 * Millisecond);
        Assert.InRange(_line.Rises, 500, 1100);
    }

    [Fact]
    public void Mode_0_rises_once_at_terminal_count()
    {
        Program(0, 0, 11932);
        Assert.False(_line.Level);
        _clock.Advance(9 * Millisecond);
        Assert.False(_line.Level);
        _clock.Advance(2 * Millisecond);
        Assert.True(_line.Level);
        _clock.Advance(1000 * Millisecond);
        Assert.Equal(1, _line.Rises);
        Assert.Null(_clock.NextDeadline);
        Program(0, 0, 100);
        Assert.False(_line.Level);
    }

    [Fact]
    public void Mode_4_strobes_once()
    {
        Program(0, 4, 1193);
        int before = _line.Rises;
        _clock.Advance(Millisecond / 2);
        Assert.Equal(before, _line.Rises);
        _clock.Advance(100 * Millisecond);
        Assert.Equal(before + 1, _line.Rises);
    }

    [Fact]
    public void Counts_run_down_with_vm_time()
    {
        Program(0, 2, 60000);
        Assert.Equal(60000, Count(0));
        _clock.Advance(10 * Millisecond);
        Assert.InRange(Count(0), 60000 - 11932, 60000 - 11930);
        Program(1, 3, 60000);
        _clock.Advance(10 * Millisecond);
        Assert.InRange(Count(1), 60000 - (2 * 11932), 60000 - (2 * 11930));
        Program(1, 0, 100);
        _clock.Advance(10 * Millisecond);
        Assert.InRange(Count(1), 65536 + 100 - 11932, 65536 + 100 - 11930);
    }

    [Fact]
    public void A_latched_count_stands_still_until_read()
    {
        Program(0, 2, 60000);
        _ports.Out8(0x43, 0x00);
        _clock.Advance(10 * Millisecond);
        _ports.Out8(0x43, 0x00);
        Assert.Equal(60000 & 0xff, _ports.In8(0x40));
        Assert.Equal(60000 >> 8, _ports.In8(0x40));
        Assert.NotEqual(60000, Count(0));
    }

    [Fact]
    public void Read_back_latches_status_and_count()
    {
        Program(0, 2, 0x1234);
        _ports.Out8(0x43, 0xc2);
        Assert.Equal(0x80 | 0x30 | (2 << 1), _ports.In8(0x40));
        Assert.Equal(0x34, _ports.In8(0x40));
        Assert.Equal(0x12, _ports.In8(0x40));
        _ports.Out8(0x43, 0x36);
        _ports.Out8(0x43, 0xe2);
        Assert.Equal(0xc0 | 0x36, _ports.In8(0x40));
    }

    [Fact]
    public void Single_byte_access_modes()
    {
        _ports.Out8(0x43, 0x14);
        _ports.Out8(0x40, 0x80);
        Assert.Equal(0x80, _ports.In8(0x40));
        Assert.Equal(0x80, _ports.In8(0x40));
        _ports.Out8(0x43, 0x24);
        _ports.Out8(0x40, 0x12);
        Assert.Equal(0x12, _ports.In8(0x40));
    }

    [Fact]
    public void Bcd_counts_in_decimal()
    {
        Program(0, 2, 0x9000, bcd: true);
        Assert.Equal(0x9000, Count(0));
        _clock.Advance(Millisecond);
        Assert.InRange(Count(0), 0x7806, 0x7808);
        Program(0, 2, 0xffff, bcd: true);
        _clock.Advance(Millisecond);
        Count(0);
    }

    [Fact]
    public void A_count_that_is_none_in_the_new_base_is_saved_as_one()
    {
        Program(0, 2, 0xffff);
        _ports.Out8(0x43, 0x35);

        PitState saved = _pit.Save();

        Pit other = new(_clock, _line);
        other.Restore(saved);
        Assert.Equal(saved.Channels, other.Save().Channels);
    }

    [Fact]
    public void Channel_2_is_gated_and_read_through_port_0x61()
    {
        // What a kernel does to calibrate its clock: mode 0 with the gate high, then wait for the output.
        _ports.Out8(0x61, 0x01);
        Program(2, 0, 11932);
        Assert.False(Output2);
        _clock.Advance(5 * Millisecond);
        _ports.Out8(0x61, 0x00);
        _clock.Advance(50 * Millisecond);
        Assert.False(Output2);
        _ports.Out8(0x61, 0x03);
        Assert.Equal(0x03, _ports.In8(0x61) & 0x03);
        _clock.Advance(4 * Millisecond);
        Assert.False(Output2);
        _clock.Advance(2 * Millisecond);
        Assert.True(Output2);
    }

    [Fact]
    public void Mode_1_starts_when_the_gate_rises()
    {
        Program(2, 1, 1193);
        Assert.True(Output2);
        _clock.Advance(10 * Millisecond);
        Assert.True(Output2);
        _ports.Out8(0x61, 0x01);
        Assert.False(Output2);
        _clock.Advance(2 * Millisecond);
        Assert.True(Output2);
    }

    [Fact]
    public void Refresh_bit_toggles()
    {
        byte first = (byte)(_ports.In8(0x61) & 0x10);
        _clock.Advance(15_085);
        Assert.NotEqual(first, _ports.In8(0x61) & 0x10);
    }

    [Fact]
    public void The_control_register_is_not_read_and_widths_are_bytes()
    {
        Assert.Equal(0xff, _ports.In8(0x43));
        Assert.Equal(IoResult.InvalidSize, _ports.Read(0x40, new byte[2]));
        Assert.Equal(IoResult.InvalidSize, _ports.Write(0x40, new byte[2]));
        Assert.Equal(IoResult.NoResponse, _ports.Write(0x61, new byte[2]));
    }

    [Fact]
    public void An_interrupt_that_was_due_but_not_raised_is_raised_after_restore()
    {
        Program(0, 0, 1193);
        _clock.Nanoseconds += 5 * Millisecond;
        PitState saved = _pit.Save();
        ManualClock clock = new() { Nanoseconds = _clock.Nanoseconds };
        RecordingLine line = new();
        using Pit other = new(clock, line);
        other.Restore(saved);
        Assert.False(line.Level);
        clock.Advance(1);
        Assert.Equal(1, line.Rises);
    }

    [Fact]
    public void A_restored_timer_goes_on_in_phase()
    {
        Program(0, 2, 11932);
        Program(2, 0, 30000);
        _ports.Out8(0x61, 0x01);
        _ports.Out8(0x43, 0x80);
        _ports.Out8(0x42, 0x55);
        _clock.Advance(3 * Millisecond);
        PitState saved = _pit.Save();

        ManualClock clock = new() { Nanoseconds = _clock.Nanoseconds };
        RecordingLine line = new();
        using Pit other = new(clock, line);
        other.Restore(saved);
        Assert.Equal(saved.Channels, other.Save().Channels);
        PitState again = other.Save();
        Assert.Equal(saved with { Channels = again.Channels }, again);
        Assert.Equal(_clock.NextDeadline, clock.NextDeadline);

        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Channels = [] }));
        foreach (PitChannelState bad in new[]
        {
            saved.Channels[0] with { Mode = 6 }, saved.Channels[0] with { Access = 0 }, saved.Channels[0] with { Count = 0 },
            saved.Channels[0] with { Count = 65537 }, saved.Channels[0] with { TicksAtGateLow = -1 },
        })
        {
            Assert.Throws<DeviceStateException>(
                () => other.Restore(saved with { Channels = [bad, saved.Channels[1], saved.Channels[2]] }));
        }

        other.Reset();
        Assert.Null(clock.NextDeadline);
        Assert.False(line.Level);
    }
}
