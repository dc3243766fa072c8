using System.Diagnostics;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.RateLimits;

/// <summary>Devices keep to their limits, and a timer alone brings them back: the driver notifies once.</summary>
public sealed class LimitedDeviceTests : IDisposable
{
    private readonly TestMemory _memory = new();
    private readonly ScratchDisk _disk = new(1024 * 1024);
    private readonly ScratchDisk _other = new(1024 * 1024);

    public void Dispose()
    {
        _memory.Dispose();
        _disk.Dispose();
        _other.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disk_waits_for_operations_and_for_bytes(bool bytes)
    {
        // 4 requests at once, then one each 50 ms.
        RateLimiter limiter = bytes
            ? new(new TokenBucketOptions(4 * 512, 0, 200), null)
            : new(new TokenBucketOptions(1 << 30, 0, 1), new TokenBucketOptions(4, 0, 200));
        using PciGuest guest = new(MakeDisk(_disk, limiter), _memory);
        BlockDriver driver = new(_memory, guest);
        long start = Stopwatch.GetTimestamp();
        SubmitReads(driver, guest, 5);
        SubmitReads(driver, guest, 5);

        // 10 less the bucket's 4, and less one that a byte is enough to begin.
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 240, 5_000);
        Assert.True(limiter.Waits > 0);

        // Flushes are operations and no bytes.
        Assert.Equal(0, driver.Flush());
    }

    [Fact]
    public void The_burst_goes_through_at_once()
    {
        RateLimiter limiter = new(null, new TokenBucketOptions(1, 9, 60_000));
        using PciGuest guest = new(MakeDisk(_disk, limiter), _memory);
        SubmitReads(new BlockDriver(_memory, guest), guest, 5);
        Assert.Equal(0UL, limiter.Waits);
    }

    [Fact]
    public void Disks_of_a_group_share_its_limit()
    {
        RateLimiter limiter = new(null, new TokenBucketOptions(4, 0, 200));
        using TestMemory second = new();
        using PciGuest a = new(MakeDisk(_disk, limiter), _memory);
        using PciGuest b = new(MakeDisk(_other, limiter), second);
        BlockDriver first = new(_memory, a);
        BlockDriver other = new(second, b);
        long start = Stopwatch.GetTimestamp();
        SubmitReads(first, a, 4);
        SubmitReads(other, b, 4);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 180, 5_000);
    }

    [Fact]
    public void A_queue_that_waits_can_be_stopped_and_goes_on()
    {
        RateLimiter limiter = new(null, new TokenBucketOptions(1, 0, 300));
        using PciGuest guest = new(MakeDisk(_disk, limiter), _memory);
        BlockDriver driver = new(_memory, guest);
        driver.Submit(0, 0, Piece.Out(BlockDriver.Data, 512));
        driver.Submit(0, 1, Piece.Out(BlockDriver.Data + 512, 512));
        driver.Queue.Publish();
        guest.Notify(0);
        driver.Queue.Await();
        TransportTests.Pause(guest);
        object state = TransportTests.Save(guest);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(guest)));
        Assert.False(driver.Queue.HasUsed);
        TransportTests.Resume(guest);
        driver.Queue.Await();
    }

    [Fact]
    public void Each_direction_of_a_net_has_its_limit()
    {
        SocketBackend backend = new(1);
        RateLimiter receive = new(null, new TokenBucketOptions(4, 0, 200));
        RateLimiter transmit = new(new TokenBucketOptions(240, 0, 200), null);
        NetOptions options = new() { Id = "_net0", ReceiveLimiter = receive, TransmitLimiter = transmit };
        NetDevice device = new(options, backend, NullLogger.Instance);
        using PciGuest guest = new(device, _memory);
        NetDriver driver = new(_memory, guest);
        driver.Offer(8);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 8; i++)
        {
            driver.Send(new byte[60]);
        }

        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 140, 5_000);
        start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 8; i++)
        {
            backend.Far[0].Send(new byte[NetDriver.HeaderBytes + 60]);
        }

        for (int i = 0; i < 8; i++)
        {
            driver.Await();
        }

        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 180, 5_000);
        Assert.True(device.RateLimiterWaits >= 2);
    }

    private static BlockDevice MakeDisk(ScratchDisk disk, RateLimiter limiter) => new(
        new BlockOptions { Id = "_disk0", RateLimiter = limiter },
        RawImage.Open(new RawImageOptions { Path = disk.Path, DisableIoUring = true }),
        NullLogger.Instance);

    /// <summary>Makes up to five reads available together, notifies once, and waits for all.</summary>
    private static void SubmitReads(BlockDriver driver, PciGuest guest, int count)
    {
        for (int i = 0; i < count; i++)
        {
            driver.Submit(0, (ulong)i, Piece.Out(BlockDriver.Data + ((ulong)i * 512), 512));
        }

        if (driver.Queue.Publish())
        {
            guest.Notify(0);
        }

        for (int i = 0; i < count; i++)
        {
            driver.Queue.Await();
        }
    }
}
