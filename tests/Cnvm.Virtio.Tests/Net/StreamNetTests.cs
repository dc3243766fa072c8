using System.Diagnostics;
using Cnvm.Linux;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Net;

/// <summary>A network device whose frames go through a stream socket, with the driver at one end and a program such as passt at the other.</summary>
public sealed class StreamNetTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly TestMemory _memory = new();
    private readonly StreamPeer _peer = new();

    public void Dispose()
    {
        _peer.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Frames_pass_both_ways_and_are_counted()
    {
        using PciGuest guest = Make(out NetDevice device);
        NetDriver driver = new(_memory, guest);
        driver.Send(Frame(1000));
        Assert.Equal(Frame(1000), _peer.Receive());
        driver.Offer(4);
        _peer.Send([.. StreamPeer.Packed(Frame(700)), .. StreamPeer.Packed(Frame(60)), .. StreamPeer.Packed(Frame(90))[..40]]);
        byte[] received = driver.Await();
        guest.AwaitInterrupt(0);
        Assert.Equal([.. new byte[10], 1, 0, .. Frame(700)], received);
        Assert.Equal(Frame(60), driver.Await()[12..]);
        _peer.Send(StreamPeer.Packed(Frame(90)).AsSpan(40));
        Assert.Equal(Frame(90), driver.Await()[12..]);
        Assert.Equal(new NetCounters(850, 3, 1000, 1), device.Counters);
    }

    [Fact]
    public void Nothing_is_offered_that_a_frame_could_not_say()
    {
        using PciGuest guest = Make(out NetDevice device, new NetOptions { Id = "_net0", Mtu = 1400 });
        const ulong Offloads = 0x7f83;
        Assert.Equal(0UL, guest.DeviceFeatures & Offloads);
        Assert.Equal(0UL, guest.DeviceFeatures & (1UL << 22));
        Assert.Equal(3, device.QueueSizes.Count);
        Assert.Equal([1, 0], guest.ReadConfiguration(6, 2));
        Assert.Equal([0x78, 0x05], guest.ReadConfiguration(10, 2));
        NetDriver driver = new(_memory, guest);
        Assert.True(driver.Control(5, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.False(driver.Control(5, 0, 2, 0, 0, 0, 0, 0, 0, 0));
        Assert.Empty(device.HostDescriptors);
    }

    [Fact]
    public void Without_buffers_frames_wait_and_none_is_lost()
    {
        using PciGuest guest = Make(out _);
        NetDriver driver = new(_memory, guest);
        for (int i = 0; i < 50; i++)
        {
            _peer.Send(StreamPeer.Packed(Frame(60 + i)));
        }

        for (int i = 0; i < 50; i++)
        {
            driver.Offer(1);
            Assert.Equal(Frame(60 + i), driver.Await()[12..]);
        }
    }

    [Fact]
    public void Without_room_frames_stay_queued_and_none_is_lost()
    {
        using PciGuest guest = Make(out NetDevice device);
        NetDriver driver = new(_memory, guest);
        int queued = 0;
        int received = 0;
        while (queued < 200)
        {
            while (driver.Transmit(0).FreeDescriptors >= 2)
            {
                driver.Queue(Frame(20_000 + (queued % 3)), 0x30_0000);
                queued++;
            }

            while (driver.Transmit(0).TryTake(out _, out _))
            {
            }

            // The far end reads only when the queue is full, so the device must wait for room again and again.
            if (driver.Transmit(0).FreeDescriptors < 2 && received < queued)
            {
                // Where the frame lies another one may have been written meanwhile; its length says that none was lost or cut.
                Assert.Equal(20_000 + (received % 3), _peer.Receive().Length);
                received++;
            }
        }

        for (; received < queued; received++)
        {
            Assert.Equal(20_000 + (received % 3), _peer.Receive().Length);
            while (driver.Transmit(0).TryTake(out _, out _))
            {
            }
        }

        Assert.True(SpinWait.SpinUntil(() => device.Counters.TxFrames == (ulong)queued, Patience));
    }

    [Fact]
    public void The_driver_learns_that_the_peer_has_gone_and_come_back()
    {
        using PciGuest guest = Make(out NetDevice device);
        NetDriver driver = new(_memory, guest);
        _peer.Leave();
        guest.Msi.Vectors[0].Await();
        Assert.Equal([0, 0], guest.ReadConfiguration(6, 2));

        // What a driver sends all the same is lost, as on a cable that nobody is at.
        driver.Send(Frame(60));
        Assert.Equal(0UL, device.Counters.TxFrames);

        _peer.Listen();
        _peer.Accept();
        guest.Msi.Vectors[0].Await();
        Assert.Equal([1, 0], guest.ReadConfiguration(6, 2));

        // Whoever is there now is shown where the guest is: a reverse ARP request from its address.
        byte[] shown = _peer.Receive();
        Assert.Equal(device.Mac.GetAddressBytes(), shown[6..12]);
        Assert.Equal([0x80, 0x35], shown[12..14]);
        driver.Send(Frame(61));
        Assert.Equal(Frame(61), _peer.Receive());
        driver.Offer(1);
        _peer.Send(StreamPeer.Packed(Frame(62)));
        Assert.Equal(Frame(62), driver.Await()[12..]);
    }

    [Fact]
    public void A_queue_that_waits_for_room_goes_on_when_the_peer_has_gone()
    {
        using PciGuest guest = Make(out NetDevice device);
        NetDriver driver = new(_memory, guest);
        ulong sent = 0;
        while (SpinWait.SpinUntil(() => driver.Transmit(0).HasUsed || driver.Transmit(0).FreeDescriptors >= 2, 300))
        {
            while (driver.Transmit(0).TryTake(out _, out _))
            {
            }

            driver.Queue(Frame(60_000), 0x30_0000);
        }

        sent = device.Counters.TxFrames;
        Assert.False(driver.Transmit(0).HasUsed);
        _peer.Leave();
        while (driver.Transmit(0).FreeDescriptors < driver.Transmit(0).Size)
        {
            driver.Transmit(0).Await();
        }

        Assert.Equal(sent, device.Counters.TxFrames);
    }

    [Fact]
    public void Nothing_is_lost_in_a_pause()
    {
        using PciGuest guest = Make(out _);
        NetDriver driver = new(_memory, guest);
        driver.Offer(3);
        guest.Function.Pause();
        _peer.Send([.. StreamPeer.Packed(Frame(100)), .. StreamPeer.Packed(Frame(101))[..50]]);
        driver.Transmit(0).Add(Piece.In(0x30_0000, 212));
        driver.Transmit(0).Publish();
        guest.Function.Resume();
        Assert.Equal(200, _peer.Receive().Length);
        Assert.Equal(Frame(100), driver.Await()[12..]);

        // In the middle of a frame.
        guest.Function.Pause();
        _peer.Send(StreamPeer.Packed(Frame(101)).AsSpan(50));
        guest.Function.Resume();
        Assert.Equal(Frame(101), driver.Await()[12..]);
    }

    [Fact]
    public void Another_instance_connects_anew_and_goes_on()
    {
        PciGuest guest = Make(out NetDevice device);
        NetDriver driver = new(_memory, guest);
        device.Announce();
        driver.Offer(3);

        // In flight: half a frame one way, a whole one the other.
        _peer.Send(StreamPeer.Packed(Frame(100)).AsSpan(0, 50));
        guest.Function.Pause();
        driver.Transmit(0).Add(Piece.In(0x30_0000, 212));
        driver.Transmit(0).Publish();
        object state = TransportTests.Save(guest);
        string text = StateText.Of(state);
        guest.Dispose();
        Assert.True(_peer.IsClosed());

        using PciGuest second = Make(out device);
        TransportTests.Restore(second, state);
        Assert.Equal(text, StateText.Of(TransportTests.Save(second)));
        Assert.True(device.ShowLocation());
        Assert.Equal([0x80, 0x35], _peer.Receive()[12..14]);
        second.Function.Resume();

        // The link may have been another one where the driver last looked.
        second.Msi.Vectors[0].Await();
        Assert.Equal([3, 0], second.ReadConfiguration(6, 2));
        driver.Transport = second;
        Assert.Equal(200, _peer.Receive().Length);
        _peer.Send(StreamPeer.Packed(Frame(101)));
        Assert.Equal(Frame(101), driver.Await()[12..]);

        NetState offloaded = new() { ActivePairs = 1, GuestOffloads = 2, IsAnnouncing = false };
        Assert.Throws<Cnvm.Devices.DeviceStateException>(() => device.Restore(offloaded));
    }

    [Fact]
    public void Each_direction_has_its_limit()
    {
        NetOptions options = new()
        {
            Id = "_net0",
            ReceiveLimiter = new(null, new TokenBucketOptions(4, 0, 200)),
            TransmitLimiter = new(new TokenBucketOptions(240, 0, 200), null),
        };
        using PciGuest guest = Make(out NetDevice device, options);
        NetDriver driver = new(_memory, guest);
        driver.Offer(8);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 8; i++)
        {
            driver.Send(Frame(60));
        }

        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 140, 5_000);
        start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 8; i++)
        {
            _peer.Send(StreamPeer.Packed(Frame(60)));
        }

        for (int i = 0; i < 8; i++)
        {
            driver.Await();
        }

        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 180, 5_000);
        Assert.True(device.RateLimiterWaits >= 2);
    }

    private static byte[] Frame(int bytes)
    {
        byte[] frame = new byte[bytes];
        for (int i = 0; i < bytes; i++)
        {
            frame[i] = (byte)((i * 3) + bytes);
        }

        return frame;
    }

    private PciGuest Make(out NetDevice device, NetOptions? options = null)
    {
        StreamBackend backend = StreamBackend.Connect("_net0", _peer.Path, NullLogger.Instance);
        _peer.Accept();
        device = new NetDevice(options ?? new NetOptions { Id = "_net0" }, backend, NullLogger.Instance);
        return new PciGuest(device, _memory);
    }
}
