using Cnvm.Devices.Bus;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Bus;

public sealed class IoBusTests
{
    private static IoBus Memory() => new("memory", ulong.MaxValue, NullLogger.Instance);

    private static IoBus Ports() => new("port", IoBus.LastPort, NullLogger.Instance);

    [Fact]
    public void Access_reaches_the_device_with_the_offset_in_its_range()
    {
        IoBus bus = Memory();
        RecordingDevice low = new(0x11);
        RecordingDevice high = new(0x22);
        bus.Register(0x2000, 0x100, high, "high");
        bus.Register(0x1000, 0x100, low, "low");

        Assert.Equal(0x11111111u, bus.In32(0x10fc));
        Assert.Equal(0xfcul, low.LastOffset);
        Assert.Equal(0x22, bus.In8(0x2000));
        bus.Store(0x2008, 8, 0x0123_4567_89ab_cdef);
        Assert.Equal(0x0123_4567_89ab_cdeful, high.LastValue);
        Assert.Equal(8ul, high.LastOffset);
    }

    [Theory]
    [InlineData(0xfff, 1)]
    [InlineData(0x1100, 1)]
    [InlineData(0x10fd, 4)]
    [InlineData(0xffe, 4)]
    [InlineData(ulong.MaxValue, 8)]
    public void What_is_not_wholly_inside_one_range_reads_as_ones(ulong address, int width)
    {
        IoBus bus = Memory();
        RecordingDevice device = new();
        bus.Register(0x1000, 0x100, device, "device");
        Span<byte> data = stackalloc byte[width];

        Assert.Equal(IoResult.NoResponse, bus.Read(address, data));
        Assert.Equal(-1, data.IndexOfAnyExcept((byte)0xff));
        Assert.Equal(IoResult.NoResponse, bus.Write(address, data));
        Assert.Equal(0, device.Reads + device.Writes);
    }

    [Fact]
    public void Odd_widths_reach_no_device()
    {
        IoBus bus = Memory();
        RecordingDevice device = new();
        bus.Register(0, 0x100, device, "device");
        Assert.Equal(IoResult.NoResponse, bus.Read(0, new byte[3]));
        Assert.Equal(IoResult.NoResponse, bus.Write(0, []));
        Assert.Equal(0, device.Reads + device.Writes);
    }

    [Theory]
    [InlineData(IoResult.InvalidRegister)]
    [InlineData(IoResult.InvalidSize)]
    [InlineData(IoResult.Unaligned)]
    [InlineData(IoResult.NoResponse)]
    public void Refused_reads_are_ones_whatever_the_device_left(IoResult result)
    {
        IoBus bus = Memory();
        bus.Register(0, 16, new RecordingDevice(0x00, result), "device");
        Assert.Equal(0xffff_fffful, bus.Load(0, 4));
    }

    [Fact]
    public void Overlap_is_refused_and_names_both()
    {
        IoBus bus = Ports();
        bus.Register(0x3f8, 8, new RecordingDevice(), "serial");
        IoBusConflictException refusal = Assert.Throws<IoBusConflictException>(
            () => bus.Register(0x3ff, 2, new RecordingDevice(), "other"));
        Assert.Equal("other [0x3ff-0x400]", refusal.Wanted);
        Assert.Equal("serial [0x3f8-0x3ff]", refusal.Occupied);
        Assert.Contains("port", refusal.Message);
        Assert.False(bus.TryRegister(0x3f0, 9, new RecordingDevice(), "third", out _));
        Assert.Single(bus.Ranges);
    }

    [Theory]
    [InlineData(0x10000ul, 1ul)]
    [InlineData(0xfffful, 2ul)]
    [InlineData(0ul, 0ul)]
    [InlineData(1ul, ulong.MaxValue)]
    public void Ranges_outside_the_space_are_refused(ulong start, ulong size)
    {
        IoBus bus = Ports();
        Assert.Throws<IoBusConflictException>(() => bus.Register(start, size, new RecordingDevice(), "wide"));
        Assert.False(bus.TryRegister(start, size, new RecordingDevice(), "wide", out _));
        Assert.Empty(bus.Ranges);
    }

    [Fact]
    public void A_range_may_end_at_the_top_of_the_space()
    {
        IoBus bus = Memory();
        bus.Register(ulong.MaxValue - 7, 8, new RecordingDevice(0x77), "top");
        Assert.Equal(0x7777_7777_7777_7777ul, bus.Load(ulong.MaxValue - 7, 8));
        Assert.Equal(0xfful, bus.Load(ulong.MaxValue - 8, 1));
    }

    [Fact]
    public void Ranges_move_and_go()
    {
        IoBus bus = Memory();
        RecordingDevice device = new(0x33);
        IoRange range = bus.Register(0x1000, 0x1000, device, "bar");
        bus.Register(0x4000, 0x1000, new RecordingDevice(), "wall");

        Assert.False(bus.TryMove(range, 0x3800, out _));
        Assert.Equal(0x33, bus.In8(0x1000));

        // A move may overlap the place that it leaves.
        Assert.True(bus.TryMove(range, 0x1800, out IoRange? moved));
        Assert.Equal(0xff, bus.In8(0x17ff));
        Assert.Equal(0x33, bus.In8(0x27ff));
        Assert.False(bus.TryMove(range, 0x8000, out _));

        Assert.True(bus.Remove(moved!));
        Assert.False(bus.Remove(moved!));
        Assert.Equal(0xff, bus.In8(0x1800));
    }

    [Fact]
    public async Task Changes_while_others_dispatch_are_never_seen_half_done()
    {
        IoBus bus = Memory();
        bus.Register(0x10_0000, 0x1000, new RecordingDevice(0x44), "fixed");
        using CancellationTokenSource stop = new();
        Task<bool> reader = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                if (bus.In8(0x10_0800) != 0x44)
                {
                    return false;
                }
            }

            return true;
        });

        RecordingDevice mover = new();
        IoRange range = bus.Register(0, 0x100, mover, "mover");
        for (ulong i = 1; i < 5000; i++)
        {
            Assert.True(bus.TryMove(range, i % 2 * 0x20_0000, out IoRange? moved));
            range = moved!;
        }

        await stop.CancelAsync();
        Assert.True(await reader.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void Dispatch_allocates_nothing()
    {
        IoBus bus = Memory();
        for (ulong i = 0; i < 40; i++)
        {
            bus.Register(i * 0x1000, 0x800, new RecordingDevice(), $"device {i}");
        }

        byte[] data = new byte[4];
        Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Run()
        {
            for (ulong i = 0; i < 10_000; i++)
            {
                bus.Read(i * 16, data);
                bus.Write(i * 16, data);
            }
        }
    }

    [Fact]
    public void Log_limit_lets_a_burst_through_and_counts_the_rest()
    {
        LogRateLimit limit = new();
        int shown = 0;
        for (int i = 0; i < 1000; i++)
        {
            shown += limit.TryTake(out _) ? 1 : 0;
        }

        Assert.Equal(10, shown);
    }

    [Fact]
    public void Regions_share_one_range()
    {
        RecordingDevice first = new(1);
        RecordingDevice second = new(2);
        IoRegions regions = new IoRegions().Add(0, 16, first).Add(0x1000, 16, second);
        Span<byte> data = stackalloc byte[4];
        Assert.Equal(IoResult.Ok, regions.Read(0x1004, data));
        Assert.Equal(4ul, second.LastOffset);
        Assert.Equal(2, data[0]);
        Assert.Equal(IoResult.Ok, regions.Read(0x800, data));
        Assert.Equal(0, data[0]);
        Assert.Equal(IoResult.Unaligned, regions.Read(14, data));
        Assert.Throws<ArgumentException>(() => regions.Add(8, 16, first));
        Assert.Throws<ArgumentException>(() => regions.Add(ulong.MaxValue, 16, first));
    }
}
