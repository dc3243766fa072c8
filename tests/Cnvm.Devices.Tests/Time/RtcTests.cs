using Cnvm.Devices.Bus;
using Cnvm.Devices.Tests.Fakes;
using Cnvm.Devices.Time;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Time;

public sealed class RtcTests
{
    private const ulong Second = 1_000_000_000;

    private readonly IoBus _ports = new("port", IoBus.LastPort, NullLogger.Instance);
    private readonly ManualClock _clock = new() { Nanoseconds = 777 };
    private readonly ManualTime _time = new(new DateTimeOffset(2026, 11, 21, 17, 4, 9, 250, TimeSpan.Zero));
    private readonly RecordingLine _line = new();
    private readonly RecordingMachine _machine = new();
    private readonly Rtc _rtc;

    public RtcTests()
    {
        _rtc = new Rtc(_time, _clock, _line, new RtcMemorySizes(3ul << 30, 2ul << 30), _machine);
        _ports.Register(Rtc.IndexPort, Rtc.Size, _rtc, "rtc");
    }

    private byte Read(byte register)
    {
        _ports.Out8(0x70, register);
        return _ports.In8(0x71);
    }

    private void Write(byte register, byte value)
    {
        _ports.Out8(0x70, register);
        _ports.Out8(0x71, value);
    }

    private void Pass(double seconds)
    {
        // In steps, so that timers fire between changes of the wall clock as they do in a running machine.
        for (double left = seconds; left > 1e-9; left -= 0.125)
        {
            double step = Math.Min(left, 0.125);
            _time.Now += TimeSpan.FromSeconds(step);
            _clock.Advance((ulong)(step * Second));
        }
    }

    private (int Century, int Year, int Month, int Day, int Weekday, int Hour, int Minute, int Second) Time() =>
        (Read(0x32), Read(9), Read(8), Read(7), Read(6), Read(4), Read(2), Read(0));

    [Fact]
    public void Time_is_the_hosts_in_bcd_and_24_hours()
    {
        Assert.Equal((0x20, 0x26, 0x11, 0x21, 0x07, 0x17, 0x04, 0x09), Time());
        Assert.Equal(0x26, Read(0x0a));
        Assert.Equal(0x02, Read(0x0b));
        Assert.Equal(0x80, Read(0x0d));
        Pass(60);
        Assert.Equal((0x20, 0x26, 0x11, 0x21, 0x07, 0x17, 0x05, 0x09), Time());
    }

    [Fact]
    public void Binary_and_12_hour_formats()
    {
        Write(0x0b, 0x06);
        Assert.Equal((20, 26, 11, 21, 7, 17, 4, 9), Time());
        Write(0x0b, 0x04);
        Assert.Equal(0x85, Read(4));
        Write(0x0b, 0x00);
        Assert.Equal(0x85, Read(4));
        _time.Now = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
        Assert.Equal(0x12, Read(4));
        _time.Now = new DateTimeOffset(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
        Assert.Equal(0x92, Read(4));
    }

    [Fact]
    public void The_guest_sets_the_time_in_any_order_while_the_clock_is_held()
    {
        _time.Now = new DateTimeOffset(2026, 2, 10, 1, 2, 3, TimeSpan.Zero);
        Write(0x0b, 0x82);
        Write(7, 0x31);
        Write(8, 0x12);
        Write(9, 0x99);
        Write(0x32, 0x19);
        Write(4, 0x23);
        Write(2, 0x59);
        Write(0, 0x58);
        _time.Now += TimeSpan.FromSeconds(30);
        Assert.Equal((0x19, 0x99, 0x12, 0x31, Read(6), 0x23, 0x59, 0x58), Time());
        Write(0x0b, 0x02);
        Pass(2);
        Assert.Equal((0x20, 0x00, 0x01, 0x01, 0x07, 0x00, 0x00, 0x00), Time());
    }

    [Fact]
    public void Nonsense_becomes_some_date()
    {
        Write(0x0b, 0x82);
        foreach (byte register in new byte[] { 0, 2, 4, 6, 7, 8, 9, 0x32 })
        {
            Write(register, 0xff);
        }

        Write(0x0b, 0x02);
        Assert.Equal((0x99, 0x99, 0x12, 0x31), (Read(0x32), Read(9), Read(8), Read(7)));
        Pass(10);
        Assert.Equal(0x99, Read(0x32));
        Write(0x0b, 0x86);
        foreach (byte register in new byte[] { 0, 2, 4, 6, 7, 8, 9, 0x32 })
        {
            Write(register, 0);
        }

        Write(0x0b, 0x06);
        Assert.Equal((0, 1, 1, 1), (Read(0x32), Read(9), Read(8), Read(7)));
    }

    [Fact]
    public void A_write_without_the_set_bit_takes_effect_at_once()
    {
        Write(2, 0x30);
        Assert.Equal(0x30, Read(2));
        Assert.Equal(0x09, Read(0));
    }

    [Fact]
    public void Update_in_progress_is_shown_before_the_second_ends()
    {
        Assert.Equal(0, Read(0x0a) & 0x80);
        _time.Now = new DateTimeOffset(2026, 1, 1, 0, 0, 0, 999, 800, TimeSpan.Zero);
        Assert.Equal(0x80, Read(0x0a) & 0x80);
    }

    [Fact]
    public void Update_ended_interrupts_every_second()
    {
        Read(0x0c);
        Write(0x0b, 0x12);
        Pass(1);
        Assert.True(_line.Level);
        Assert.Equal(0x90, Read(0x0c) & 0xb0);
        Assert.False(_line.Level);
        Assert.Equal(0, Read(0x0c) & 0xb0);
        Pass(1);
        Assert.Equal(2, _line.Rises);
        Pass(5);
        Assert.Equal(2, _line.Rises);
    }

    [Fact]
    public void Flags_are_set_without_interrupts_too()
    {
        Read(0x0c);
        Pass(1.5);
        Assert.Equal(0x50, Read(0x0c));
        Assert.False(_line.Level);
        Assert.Null(_clock.NextDeadline);
    }

    [Fact]
    public void The_alarm_interrupts_when_the_time_comes()
    {
        Write(1, 0x12);
        Write(3, 0x04);
        Write(5, 0x17);
        Read(0x0c);
        Write(0x0b, 0x22);
        Pass(2);
        Assert.False(_line.Level);
        Pass(1.5);
        Assert.True(_line.Level);
        Assert.Equal(0xa0, Read(0x0c) & 0xa0);
        Pass(30);
        Assert.Equal(1, _line.Rises);
        Write(3, 0xff);
        Pass(40);
        Assert.Equal(2, _line.Rises);
    }

    [Fact]
    public void An_alarm_in_a_long_gap_is_not_missed()
    {
        Write(1, 0x00);
        Write(3, 0x00);
        Write(5, 0x03);
        Read(0x0c);
        _time.Now += TimeSpan.FromDays(20);
        Assert.Equal(0x20, Read(0x0c) & 0x20);
    }

    [Theory]
    [InlineData(6, 1024)]
    [InlineData(15, 2)]
    [InlineData(1, 256)]
    [InlineData(2, 128)]
    [InlineData(3, 8192)]
    public void Periodic_interrupts_come_at_the_rate(byte rate, int hertz)
    {
        Write(0x0a, (byte)(0x20 | rate));
        Read(0x0c);
        Write(0x0b, 0x42);
        int ticks = 0;
        ulong end = _clock.Nanoseconds + Second;
        while (_clock.NextDeadline is { } next && next <= end)
        {
            _clock.Advance(next - _clock.Nanoseconds);
            Assert.True(_line.Level);
            Assert.Equal(0xc0, Read(0x0c) & 0xc0);
            ticks++;
        }

        Assert.InRange(ticks, hertz - 1, hertz);
    }

    [Fact]
    public void An_unanswered_periodic_interrupt_does_not_repeat()
    {
        Write(0x0b, 0x42);
        _clock.Advance(Second);
        Assert.Equal(1, _line.Rises);
    }

    [Fact]
    public void Memory_sizes_are_where_firmware_puts_them()
    {
        Assert.Equal((0x80, 0x02), (Read(0x15), Read(0x16)));
        Assert.Equal((0xff, 0xff), (Read(0x17), Read(0x18)));
        Assert.Equal((0xff, 0xff), (Read(0x30), Read(0x31)));
        Assert.Equal(((3L << 30) - (16L << 20)) / 65536, Read(0x34) | (Read(0x35) << 8));
        Assert.Equal(0x8000, Read(0x5b) | (Read(0x5c) << 8) | (Read(0x5d) << 16));
    }

    [Fact]
    public void Memory_bytes_keep_what_is_written()
    {
        Write(0x7f, 0xa5);
        Write(0xff, 0x5a);
        Assert.Equal(0x5a, Read(0x7f));
        Write(0x0d, 0);
        Write(0x0c, 0xff);
        Assert.Equal(0x80, Read(0x0d));
        Assert.Equal(0xff, _ports.In8(0x70));
    }

    [Fact]
    public void Shutdown_status_resets_where_the_machine_wants_it()
    {
        Write(0x0f, 0x0a);
        Write(0x0f, 0x00);
        Assert.Empty(_machine.Requests);
        Write(0x8f, 0x00);
        Assert.Equal(["reset by rtc"], _machine.Requests);
    }

    [Fact]
    public void Reset_stops_interrupts_and_keeps_time_and_memory()
    {
        Write(2, 0x30);
        Write(0x40, 0x77);
        Write(0x0b, 0x72);
        Pass(2);
        Assert.True(_line.Level);
        _rtc.Reset();
        Assert.False(_line.Level);
        Assert.Null(_clock.NextDeadline);
        Assert.Equal((0x02, 0, 0x77, 0x30), (Read(0x0b), Read(0x0c), Read(0x40), Read(2)));
    }

    [Fact]
    public void Save_and_restore_keep_time_flags_and_pending_interrupts()
    {
        Write(2, 0x30);
        Write(0x0b, 0x42);
        Pass(0.3);
        Read(0x0c);
        _ports.Out8(0x70, 0x44);
        RtcState saved = _rtc.Save();

        ManualClock clock = new() { Nanoseconds = _clock.Nanoseconds };
        using Rtc other = new(_time, clock, new RecordingLine(), default);
        other.Restore(saved);
        RtcState again = other.Save();
        Assert.Equal(saved.Cmos, again.Cmos);
        Assert.Equal(saved with { Cmos = again.Cmos }, again);
        Assert.Equal(_clock.NextDeadline, clock.NextDeadline);
        other.Write(0, [2]);
        byte[] minute = new byte[1];
        other.Read(1, minute);
        Assert.Equal(0x30, minute[0]);

        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Cmos = new byte[64] }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { OffsetTicks = long.MaxValue }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { LastSecond = -1 }));
    }
}
