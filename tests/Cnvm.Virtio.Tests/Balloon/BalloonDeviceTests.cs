using Cnvm.Devices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Balloon;

public sealed class BalloonDeviceTests : IDisposable
{
    private const ulong Numbers = 0x8_0000;
    private const ulong Pages = 0x20_0000;
    private const ulong StatisticsFeature = 2;
    private const ulong ReportingFeature = 32;
    private readonly TestMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pages_in_the_balloon_read_as_zero_and_others_stay(bool pci)
    {
        using IDisposable owner = Make(pci, new BalloonOptions { Id = "__balloon", Size = 0x8000 }, out IGuestTransport transport, out BalloonDevice device);
        DriverQueue[] queues = Start(transport, 2);
        Assert.Equal([8, 0, 0, 0, 0, 0, 0, 0], transport.ReadConfiguration(0, 8));
        _memory[Pages, 0x10_0000].Fill(0x5a);
        _memory.Guest.StartDirtyTracking();

        // Ascending, descending, alone, twice; in the hole, at its edges, and far beyond RAM.
        Inflate(transport, queues[0], [0x200, 0x201, 0x205, 0x204, 0x203, 0x20a, 0x20a, 0x3ff, 0x400, 0x4ff, 0x500, 0x5ff, 0x600, uint.MaxValue]);
        uint[] zero = [0x200, 0x201, 0x203, 0x204, 0x205, 0x20a];
        for (uint page = 0x200; page < 0x300; page++)
        {
            Span<byte> bytes = _memory[(ulong)page << 12, 4096];
            Assert.False(bytes.ContainsAnyExcept(zero.Contains(page) ? (byte)0 : (byte)0x5a), $"page 0x{page:x}");
        }

        var dirty = new DirtyBitmap(_memory.Guest.Regions);
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.All(zero, page => Assert.True(dirty.IsDirty(0, page)));
        Assert.False(dirty.IsDirty(0, 0x202));
        Assert.Equal((0x8000UL, 0UL, 10UL << 12), (device.Counters.TargetBytes, device.Counters.ActualBytes, device.Counters.InflatedBytes));

        // The driver says how much it gave; taking pages back needs nothing of the device.
        transport.WriteConfiguration(4, [6, 0, 0, 0]);
        transport.WriteConfiguration(0, [1, 0, 0, 0]);
        Assert.Equal([8, 0, 0, 0, 6, 0, 0, 0], transport.ReadConfiguration(0, 8));
        Assert.Equal(6UL << 12, device.Counters.ActualBytes);
        queues[1].Add(Piece.In(Numbers, 4));
        transport.Run(1, queues[1]);
    }

    [Fact]
    public void A_new_size_is_told()
    {
        using var guest = (PciGuest)Make(true, new BalloonOptions { Id = "__balloon" }, out IGuestTransport transport, out BalloonDevice device);
        Start(transport, 2);
        device.Resize(64 << 20);
        guest.Msi.Vectors[0].Await();
        Assert.Equal([0, 64, 0, 0], transport.ReadConfiguration(0, 4));
        device.Resize(ulong.MaxValue);
        Assert.Equal([0xff, 0xff, 0xff, 0xff], transport.ReadConfiguration(0, 4));
    }

    [Theory]
    [InlineData(ReportingFeature, 2)]
    [InlineData(ReportingFeature | StatisticsFeature, 3)]
    public void Reported_pages_go_back_and_queues_are_numbered_by_what_the_driver_knows(ulong wanted, int index)
    {
        using IDisposable owner = Make(true, All(), out IGuestTransport transport, out BalloonDevice device);
        DriverQueue[] queues = Start(transport, index + 1, wanted);
        _memory[Pages, 0x10_0000].Fill(0x5a);

        // Pieces that are not whole pages are given back as far as they are.
        queues[index].Add(Piece.Out(Pages, 0x4000), Piece.Out(Pages + 0x8800, 0x2000), Piece.Out(Pages + 0xc001, 0x1000));
        transport.Run(index, queues[index]);
        Assert.False(_memory[Pages, 0x4000].ContainsAnyExcept((byte)0));
        Assert.False(_memory[Pages + 0x9000, 0x1000].ContainsAnyExcept((byte)0));
        Assert.False(_memory[Pages + 0x4000, 0x5000].ContainsAnyExcept((byte)0x5a));
        Assert.False(_memory[Pages + 0xa000, 0x6000].ContainsAnyExcept((byte)0x5a));
        Assert.Equal(0x5000UL, device.Counters.ReportedBytes);
    }

    [Fact]
    public void Statistics_come_when_asked_for()
    {
        using IDisposable owner = Make(true, All(), out IGuestTransport transport, out BalloonDevice device);
        DriverQueue[] queues = Start(transport, 3, StatisticsFeature);
        Assert.Empty(device.Statistics);
        Tell(transport, queues[2], (4, 1000), (5, 2000), (77, 3));
        Assert.True(SpinWait.SpinUntil(() => device.Statistics.Count > 0, 10_000));
        queues[2].Await();
        Tell(transport, queues[2], (4, 1500));
        Assert.True(SpinWait.SpinUntil(() => device.Statistics.Any(s => s is { Key: "free_memory", Value: 1500 }), 10_000));
        Assert.Contains(device.Statistics, s => s is { Key: "total_memory", Value: 2000 });

        // A pause puts the buffer back that the device holds, so that nothing of it is lost.
        TransportTests.Pause(transport);
        object state = TransportTests.Save(transport);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
        TransportTests.Resume(transport);
        queues[2].Await();
        Tell(transport, queues[2], (4, 1700));
        Assert.True(SpinWait.SpinUntil(() => device.Statistics.Any(s => s is { Key: "free_memory", Value: 1700 }), 10_000));
        transport.Status = 0;
        Assert.Empty(device.Statistics);
    }

    [Fact]
    public void An_inflate_buffer_without_end_breaks_the_queue()
    {
        using IDisposable owner = Make(true, All(), out IGuestTransport transport, out _);
        DriverQueue[] queues = Start(transport, 2);
        queues[0].Add(Piece.In(0x10_0000, 0x1_0001));
        if (queues[0].Publish())
        {
            transport.Notify(0);
        }

        Assert.True(SpinWait.SpinUntil(() => (transport.Status & 64) != 0, 10_000));
    }

    [Fact]
    public void Its_sizes_are_kept()
    {
        IDisposable owner = Make(true, All() with { Size = 0x5000 }, out IGuestTransport transport, out BalloonDevice device);
        DriverQueue[] queues = Start(transport, 4);
        device.Resize(0x9000);
        transport.WriteConfiguration(4, [3, 0, 0, 0]);
        Tell(transport, queues[2], (4, 1000));
        TransportTests.Pause(transport);
        object state = TransportTests.Save(transport);
        Assert.Equal(new BalloonState { TargetPages = 9, ActualPages = 3 }, device.Save());
        owner.Dispose();

        using IDisposable second = Make(true, All() with { Size = 0x5000 }, out transport, out device);
        TransportTests.Restore(transport, state);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
        TransportTests.Resume(transport);
        Assert.Equal((0x9000UL, 0x3000UL), (device.Counters.TargetBytes, device.Counters.ActualBytes));
        _memory[Pages, 4096].Fill(1);
        Inflate(transport, queues[0], [(uint)(Pages >> 12)]);
        Assert.False(_memory[Pages, 4096].ContainsAnyExcept((byte)0));
        Assert.Throws<DeviceStateException>(() => device.Restore(new RngState()));
    }

    private static BalloonOptions All() => new() { Id = "__balloon", FreePageReporting = true, Statistics = true, DeflateOnOom = true };

    private DriverQueue[] Start(IGuestTransport transport, int count, ulong wanted = ~0UL)
    {
        DriverQueue[] queues = [.. Enumerable.Range(0, count).Select(i => new DriverQueue(_memory, 0x1000 + (0x1_0000UL * (ulong)i), 16, eventIndex: false))];
        transport.Start(wanted & ~VirtioFeatures.EventIndex, queues);
        return queues;
    }

    private void Inflate(IGuestTransport transport, DriverQueue queue, uint[] pages)
    {
        for (int i = 0; i < pages.Length; i++)
        {
            _memory.Write(Numbers + ((ulong)i * 4), pages[i]);
        }

        // Cut where a number ends and where it does not.
        int half = (pages.Length * 2) - 1;
        queue.Add(Piece.In(Numbers, half), Piece.In(Numbers + (ulong)half, (pages.Length * 4) - half));
        transport.Run(0, queue);
    }

    private void Tell(IGuestTransport transport, DriverQueue queue, params (ushort Tag, ulong Value)[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            _memory.Write(Numbers + ((ulong)i * 10), values[i].Tag);
            _memory.Write(Numbers + ((ulong)i * 10) + 2, values[i].Value);
        }

        queue.Add(Piece.In(Numbers, values.Length * 10));
        if (queue.Publish())
        {
            transport.Notify(2);
        }
    }

    private IDisposable Make(bool pci, BalloonOptions options, out IGuestTransport transport, out BalloonDevice device)
    {
        device = new BalloonDevice(options, NullLogger.Instance);
        transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        return (IDisposable)transport;
    }
}
