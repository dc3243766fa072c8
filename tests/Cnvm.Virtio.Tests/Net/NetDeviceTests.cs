using System.Net.NetworkInformation;
using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Net;

public sealed class NetDeviceTests : IDisposable
{
    private readonly TestMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Configuration_says_what_was_asked_for()
    {
        NetOptions options = new() { Id = "_net0", Mac = PhysicalAddress.Parse("02-11-22-33-44-55"), Mtu = 9000 };
        using PciGuest guest = Make(out _, out NetDevice device, pairs: 3, options);
        Assert.Equal([2, 0x11, 0x22, 0x33, 0x44, 0x55, 1, 0, 3, 0, 0x28, 0x23], guest.ReadConfiguration(0, 4).Concat(guest.ReadConfiguration(4, 8)));
        Assert.Equal(7, device.QueueSizes.Count);
        Assert.Equal(256, guest.MaxQueueSize(0));
        Assert.Equal(64, guest.MaxQueueSize(6));
    }

    [Theory]
    [InlineData(true, true, true, 0x7fffUL)]
    [InlineData(false, true, true, 0)]
    [InlineData(true, false, true, 0x4403UL)]
    [InlineData(true, true, false, 0x3b83UL)]
    public void Offloads_are_offered_as_configured(bool checksum, bool tso, bool ufo, ulong expected)
    {
        NetOptions options = new() { Id = "_net0", OffloadChecksum = checksum, OffloadTso = tso, OffloadUfo = ufo };
        using PciGuest guest = Make(out SocketBackend backend, out _, 1, options);
        const ulong Offloads = 0x7f83;
        Assert.Equal(expected & Offloads, guest.DeviceFeatures & Offloads);

        _ = new NetDriver(_memory, guest);
        Assert.Equal(checksum, (backend.Offloads & TapOffloads.Checksum) != 0);
        Assert.Equal(checksum && tso, (backend.Offloads & TapOffloads.Tso6) != 0);
        Assert.Equal(checksum && ufo, (backend.Offloads & TapOffloads.Ufo) != 0);
        guest.Status = 0;
        Assert.Equal(TapOffloads.None, backend.Offloads);
    }

    [Fact]
    public void Frames_pass_both_ways_and_are_counted()
    {
        using PciGuest guest = Make(out SocketBackend backend, out NetDevice device);
        NetDriver driver = new(_memory, guest);
        byte[] frame = Frame(1000);
        driver.Send(frame);
        byte[] got = new byte[2000];
        int length = backend.Far[0].Receive(got);
        Assert.Equal(1012, length);
        Assert.Equal(frame, got[12..length]);

        driver.Offer(2);
        byte[] arriving = [.. new byte[12], .. Frame(700)];
        backend.Far[0].Send(arriving);
        byte[] received = driver.Await();
        guest.AwaitInterrupt(0);

        // num_buffers is 1, whatever the back end left there.
        Assert.Equal([1, 0], received[10..12]);
        Assert.Equal(arriving[12..], received[12..]);
        Assert.Equal(new NetCounters(700, 1, 1000, 1), device.Counters);
    }

    [Fact]
    public void Without_buffers_frames_wait_and_none_is_lost()
    {
        using PciGuest guest = Make(out SocketBackend backend, out _);
        NetDriver driver = new(_memory, guest);
        for (int i = 0; i < 5; i++)
        {
            backend.Far[0].Send([.. new byte[12], .. Frame(60 + i)]);
        }

        for (int i = 0; i < 5; i++)
        {
            driver.Offer(1);
            Assert.Equal(72 + i, driver.Await().Length);
        }
    }

    [Fact]
    public void Without_room_frames_stay_queued_and_none_is_lost()
    {
        using PciGuest guest = Make(out SocketBackend backend, out NetDevice device);
        NetDriver driver = new(_memory, guest);
        int queued = 0;
        int received = 0;
        byte[] got = new byte[2000];

        // The far end reads only when the queue is full, so the device must wait for room again and again.
        while (queued < 3000)
        {
            while (driver.Transmit(0).FreeDescriptors >= 2)
            {
                driver.Queue(Frame(100 + (queued % 100)), 0x30_0000);
                queued++;
            }

            while (driver.Transmit(0).TryTake(out _, out _))
            {
            }

            if (driver.Transmit(0).FreeDescriptors < 2 && received < queued)
            {
                Assert.Equal(112 + (received % 100), backend.Far[0].Receive(got));
                received++;
            }
        }

        for (; received < queued; received++)
        {
            Assert.Equal(112 + (received % 100), backend.Far[0].Receive(got));
            while (driver.Transmit(0).TryTake(out _, out _))
            {
            }
        }

        Assert.True(SpinWait.SpinUntil(() => device.Counters.TxFrames == (ulong)queued, 10_000));
    }

    [Fact]
    public void Frames_that_are_too_short_or_too_long_are_dropped()
    {
        using PciGuest guest = Make(out SocketBackend backend, out NetDevice device);
        NetDriver driver = new(_memory, guest);
        driver.Send(new byte[13]);
        driver.Send(new byte[66_000]);
        driver.Transmit(0).Add(Piece.Out(0x30_0000, 100));
        guest.Run(1, driver.Transmit(0));
        driver.Send(Frame(14));
        byte[] got = new byte[100];
        Assert.Equal(26, backend.Far[0].Receive(got));
        Assert.Equal(1UL, device.Counters.TxFrames);
    }

    [Fact]
    public void A_receive_buffer_without_room_for_the_header_needs_a_reset()
    {
        using PciGuest guest = Make(out SocketBackend backend, out _);
        NetDriver driver = new(_memory, guest);
        driver.Receive(0).Add(Piece.Out(0x20_0000, 11));
        driver.Receive(0).Publish();
        guest.Notify(0);
        backend.Far[0].Send(new byte[80]);
        Assert.True(SpinWait.SpinUntil(() => (guest.Status & 64) != 0, 10_000));
    }

    [Fact]
    public void The_control_queue_takes_what_it_should_and_refuses_the_rest()
    {
        using PciGuest guest = Make(out SocketBackend backend, out NetDevice device, pairs: 2);
        NetDriver driver = new(_memory, guest, pairs: 2);
        Assert.True(driver.Control(0, 0, 1));
        Assert.True(driver.Control(0, 5, 0));
        Assert.False(driver.Control(0, 6, 0));
        Assert.False(driver.Control(0, 0));
        Assert.True(driver.Control(1, 0, 0, 0, 0, 0));
        Assert.False(driver.Control(1, 1, 1, 2, 3, 4, 5, 6));
        Assert.False(driver.Control(2, 0, 0, 0));
        Assert.False(driver.Control(77, 0, 0));

        Assert.False(driver.Control(4, 0, 0, 0));
        Assert.False(driver.Control(4, 0, 3, 0));
        Assert.False(driver.Control(4, 0, 2));
        Assert.True(driver.Control(4, 0, 2, 0));
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref backend.Active[1]), 10_000));
        Assert.True(driver.Control(4, 0, 1, 0));
        Assert.True(SpinWait.SpinUntil(() => !Volatile.Read(ref backend.Active[1]), 10_000));

        Assert.True(driver.Control(5, 0, 0x83, 0, 0, 0, 0, 0, 0, 0) is false, "bit 0 is not a guest offload");
        Assert.True(driver.Control(5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(TapOffloads.Checksum | TapOffloads.Tso4, backend.Offloads);
        Assert.False(driver.Control(5, 0, 0x82));
    }

    [Fact]
    public void Active_pairs_carry_frames()
    {
        using PciGuest guest = Make(out SocketBackend backend, out _, pairs: 2);
        NetDriver driver = new(_memory, guest, pairs: 2);
        driver.Offer(1, pair: 1);
        backend.Far[1].Send([.. new byte[12], .. Frame(60)]);
        Assert.True(driver.Control(4, 0, 2, 0));
        Assert.Equal(72, driver.Await(pair: 1).Length);
        driver.Send(Frame(90), pair: 1);
        Assert.Equal(102, backend.Far[1].Receive(new byte[200]));
    }

    [Fact]
    public void Without_multi_queue_the_control_queue_is_the_third()
    {
        using PciGuest guest = Make(out _, out _, pairs: 2);
        NetDriver driver = new(_memory, guest, pairs: 1, wanted: ~(1UL << 22));
        Assert.True(driver.Control(0, 0, 1));
        Assert.False(driver.Control(4, 0, 1, 0));
    }

    [Fact]
    public void An_announcement_is_asked_for_and_acknowledged()
    {
        using PciGuest guest = Make(out _, out NetDevice device);
        device.Announce();
        Assert.Equal([1, 0], guest.ReadConfiguration(6, 2));
        NetDriver driver = new(_memory, guest);
        byte generation = guest.Get(1, 0x15, 1)[0];
        device.Announce();
        guest.Msi.Vectors[0].Await();
        Assert.Equal([3, 0], guest.ReadConfiguration(6, 2));
        Assert.NotEqual(generation, guest.Get(1, 0x15, 1)[0]);
        Assert.True(driver.Control(3, 0));
        Assert.Equal([1, 0], guest.ReadConfiguration(6, 2));
    }

    /// <summary>Two threads interrupt, and pins of ISA count edges: what comes between the driver's look and its acknowledgement is heard of.</summary>
    [Fact]
    public void A_change_beside_a_used_buffer_makes_an_edge_of_its_own()
    {
        SocketBackend backend = new(1);
        NetDevice device = new(new NetOptions { Id = "_net0" }, backend, NullLogger.Instance);
        using MmioGuest guest = new(device, _memory);
        NetDriver driver = new(_memory, guest);
        device.Announce();
        driver.Send(Frame(60));
        Assert.True(SpinWait.SpinUntil(() => guest.Get(0x60) == 3, 10_000));
        int edges = guest.Line.Edges;
        guest.Set(0x64, 1);
        Assert.Equal((true, edges + 1, 2u), (guest.Line.IsAsserted, guest.Line.Edges, guest.Get(0x60)));
        guest.Set(0x64, 2);
        Assert.Equal((false, edges + 1, 0u), (guest.Line.IsAsserted, guest.Line.Edges, guest.Get(0x60)));
    }

    [Fact]
    public void Switches_are_shown_where_the_guest_is()
    {
        using PciGuest guest = Make(out SocketBackend backend, out NetDevice device);
        Assert.True(device.ShowLocation());
        byte[] frame = new byte[200];
        Assert.Equal(72, backend.Far[0].Receive(frame));
        byte[] mac = device.Mac.GetAddressBytes();

        // No offloads; to everybody, from the guest; RARP: Ethernet and IPv4, request, the guest asks for itself.
        byte[] expected =
        [
            .. new byte[12], 255, 255, 255, 255, 255, 255, .. mac, 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3, .. mac, 0, 0, 0, 0, .. mac, .. new byte[22],
        ];
        Assert.Equal(expected, frame[..72]);
    }

    [Fact]
    public void Nothing_is_lost_when_another_instance_takes_over()
    {
        PciGuest guest = Make(out SocketBackend backend, out NetDevice device, pairs: 2);
        NetDriver driver = new(_memory, guest, pairs: 2);
        Assert.True(driver.Control(4, 0, 2, 0));
        Assert.True(driver.Control(5, 0, 2, 0, 0, 0, 0, 0, 0, 0));
        device.Announce();
        driver.Offer(3);
        backend.Far[0].Send([.. new byte[12], .. Frame(60)]);
        Assert.Equal(72, driver.Await().Length);
        guest.Function.Pause();
        driver.Transmit(0).Add(Piece.In(0x30_0000, 200));
        driver.Transmit(0).Publish();
        object state = TransportTests.Save(guest);
        string text = StateText.Of(state);
        guest.Dispose();

        using PciGuest second = Make(out backend, out _, pairs: 2);
        TransportTests.Restore(second, state);
        Assert.Equal(text, StateText.Of(TransportTests.Save(second)));
        second.Function.Resume();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref backend.Active[1]), 10_000));
        Assert.Equal(TapOffloads.Checksum, backend.Offloads);
        Assert.Equal([3, 0], second.ReadConfiguration(6, 2));
        driver.Transport = second;
        Assert.Equal(200, backend.Far[0].Receive(new byte[300]));
        backend.Far[0].Send([.. new byte[12], .. Frame(61)]);
        Assert.Equal(73, driver.Await().Length);

        using PciGuest narrow = Make(out _, out NetDevice single);
        NetState saved = new() { ActivePairs = 2, GuestOffloads = 0, IsAnnouncing = false };
        Assert.Throws<DeviceStateException>(() => single.Restore(saved));
        Assert.Throws<DeviceStateException>(() => single.Restore(saved with { ActivePairs = 1, GuestOffloads = 1 }));
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused()
    {
        using SocketBackend backend = new(1);
        Assert.Throws<ArgumentException>(() => new NetDevice(new NetOptions { Id = "n", QueueSize = 100 }, backend, NullLogger.Instance));
        Assert.Throws<ArgumentException>(() => new NetDevice(new NetOptions { Id = "n", Mtu = 20 }, backend, NullLogger.Instance));
        Assert.Throws<ArgumentException>(
            () => new NetDevice(new NetOptions { Id = "n", Mac = PhysicalAddress.Parse("010000000000") }, backend, NullLogger.Instance));
        byte[] random = NetDevice.RandomMac().GetAddressBytes();
        Assert.Equal(2, random[0] & 3);
        Assert.NotEqual(random, NetDevice.RandomMac().GetAddressBytes());
    }

    private static byte[] Frame(int bytes)
    {
        byte[] frame = new byte[bytes];
        for (int i = 0; i < bytes; i++)
        {
            frame[i] = (byte)(i * 3);
        }

        return frame;
    }

    private PciGuest Make(out SocketBackend backend, out NetDevice device, int pairs = 1, NetOptions? options = null)
    {
        backend = new SocketBackend(pairs);
        device = new NetDevice(options ?? new NetOptions { Id = "_net0" }, backend, NullLogger.Instance);
        return new PciGuest(device, _memory);
    }
}
