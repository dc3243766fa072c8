using Cnvm.Devices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Transport;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>A block device and a back end of our own that does what the protocol says.</summary>
public sealed class VhostUserDeviceTests : IDisposable
{
    private const byte Ok = 0;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vhost-").FullName;
    private readonly TestMemory _memory = new(sharedRegions: 1);
    private readonly byte[] _disk = new byte[1 << 20];

    private string Socket => Path.Combine(_folder, "s");

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Requests_are_served_and_a_saved_queue_goes_on_where_it_was()
    {
        new Random(1).NextBytes(_disk);
        byte[] data = new byte[8192];
        new Random(2).NextBytes(data);
        string saved;
        PciTransportState state;
        DriverQueue queue;
        using (VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start())
        using (PciGuest guest = new(Device(queues: 2), _memory))
        {
            BlockDriver driver = new(_memory, guest, queues: 2);
            queue = driver.Queue;
            Assert.Equal(2048, BitConverter.ToInt64(guest.ReadConfiguration(0, 8)));
            Assert.Equal(2, guest.ReadConfiguration(34, 1)[0]);
            Assert.Equal(Ok, driver.Read(16, 4096));
            guest.AwaitInterrupt(0);
            Assert.Equal(_disk[8192..12288], driver.Bytes(4096));
            Assert.Equal(Ok, driver.Write(100, data));
            Assert.Equal(data, _disk[51200..(51200 + data.Length)]);
            Assert.Equal(1, peer.Rings.RegionCount - 1);

            guest.Function.Pause();
            state = guest.Function.Save();
            saved = StateText.Of(state);
            Assert.Equal(2, state.Transport.Queues[0].NextAvail);
            Assert.Null(guest.Function.Device.SaveObstacle);

            guest.Function.Resume();
            Assert.Equal(Ok, driver.Read(0, 512));
        }

        using (VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start())
        using (PciGuest guest = new(Device(queues: 2), _memory))
        {
            // Back to where the state was taken, which is where the driver's ring was then.
            _memory.Write(queue.UsedRing + 2, (ushort)2);
            _memory.Write(queue.AvailRing + 2, (ushort)2);
            guest.Function.Restore(state);
            Assert.Equal(saved, StateText.Of(guest.Function.Save()));
            guest.Function.Resume();
            _memory.Write(queue.AvailRing + 2, (ushort)3);
            guest.Notify(0);
            guest.AwaitInterrupt(0);
        }

        using (VhostUserPeer peer = new VhostUserPeer(Socket, new byte[4096]).Start())
        using (PciGuest guest = new(Device(queues: 2), _memory))
        {
            Assert.Contains("sectors", Assert.Throws<DeviceStateException>(() => guest.Function.Restore(state)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_the_back_end_writes_is_found_in_its_log()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        MarkedWrites.Check(_memory, guest, driver);
        Assert.Equal(1u, peer.Rings.AddressFlags);

        // The log goes on with another driver, and over a pause.
        guest.Function.Pause();
        guest.Function.Resume();
        Assert.Equal(1u, peer.Rings.AddressFlags);
        _memory.Guest.StopDirtyTracking();
        Assert.Equal(0u, peer.Rings.AddressFlags);
        Assert.Equal(0UL, peer.Rings.AcceptedFeatures & (1UL << 26));
        Assert.Equal(Ok, driver.Read(0, 4096));
        Assert.Equal(1UL, ((VhostUserDevice)guest.Function.Device).Counters.IsConnected ? 1UL : 0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(16)]
    public void What_is_answered_to_the_log_does_not_matter(int bytes)
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        peer.Rings.LogAnswerBytes = bytes;
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        _memory.Guest.StartDirtyTracking();
        Assert.Equal(Ok, driver.Read(0, 4096));
        Assert.Equal(new VhostUserCounters(true, 0, 0), ((VhostUserDevice)guest.Function.Device).Counters with { Calls = 0 });
    }

    [Fact]
    public void A_used_ring_is_dirty_when_it_stops_whatever_the_back_end_has_logged()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        peer.Rings.HidesWrites = true;
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        var dirty = new DirtyBitmap(_memory.Guest.Regions);
        _memory.Guest.StartDirtyTracking();
        Assert.Equal(Ok, driver.Read(0, 4096));
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.Equal(0, dirty.CountPages());
        guest.Function.Pause();
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.True(dirty.IsDirty(0, driver.Queue.UsedRing >> 12));
    }

    [Fact]
    public void While_writes_are_tracked_only_one_that_can_log_takes_its_place()
    {
        VhostUserPeer first = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(Device(), _memory);
        var device = (VhostUserDevice)guest.Function.Device;
        BlockDriver driver = new(_memory, guest);
        _memory.Guest.StartDirtyTracking();
        first.Dispose();
        using (VhostUserPeer second = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = VhostUserPeer.AllProtocolFeatures & ~2UL }.Start())
        {
            Assert.True(SpinWait.SpinUntil(() => second.Requests.Count(r => r == 3) > 1, 20_000));
            Assert.False(device.Counters.IsConnected);
        }

        using VhostUserPeer third = new VhostUserPeer(Socket, _disk).Start();
        Assert.Equal(Ok, driver.Read(0, 512));
        Assert.NotNull(third.Rings.Log);
    }

    [Fact]
    public void What_is_made_available_and_not_told_is_finished_before_a_stop()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(Ok, driver.Read(0, 512));
        driver.Submit(0, 8, Piece.Out(BlockDriver.Data, 512));
        driver.Queue.Publish();
        guest.Function.Pause();
        Assert.Null(guest.Function.Device.SaveObstacle);
        Assert.Equal(2, guest.Function.Save().Transport.Queues[0].NextUsed);
    }

    [Fact]
    public void What_was_in_flight_when_a_back_end_went_is_not_saved_by_the_one_after_it()
    {
        using PciGuest guest = Lost(out VhostUserPeer first, VhostUserPeer.AllProtocolFeatures);
        var device = (VhostUserDevice)guest.Function.Device;
        first.Dispose();
        Assert.True(SpinWait.SpinUntil(() => !device.Counters.IsConnected, 20_000));
        guest.Function.Pause();
        using VhostUserPeer second = new VhostUserPeer(Socket, _disk).Start();
        Assert.True(SpinWait.SpinUntil(() => device.Counters.IsConnected, 20_000));
        Assert.Contains("not finished", device.SaveObstacle, StringComparison.Ordinal);
        guest.Function.Resume();
        guest.Function.Pause();
        Assert.Null(device.SaveObstacle);
    }

    [Fact]
    public void A_back_end_that_cannot_log_keeps_dirty_memory_from_being_tracked()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = VhostUserPeer.AllProtocolFeatures & ~2UL }.Start();
        using PciGuest guest = new(Device(), _memory);
        Assert.Contains("cannot log", Assert.Throws<VhostUserException>(_memory.Guest.StartDirtyTracking).Message, StringComparison.Ordinal);
        var dirty = new DirtyBitmap(_memory.Guest.Regions);
        _memory.Guest.MarkDirty(0, 1);
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.Equal(0, dirty.CountPages());
    }

    [Fact]
    public void A_back_end_that_ends_is_replaced_and_gets_what_was_in_flight()
    {
        PciGuest guest;
        BlockDriver driver;
        ulong? inflight;
        using (VhostUserPeer first = new VhostUserPeer(Socket, _disk).Start())
        {
            guest = new(Device(), _memory);
            driver = new(_memory, guest);
            Assert.Equal(Ok, driver.Read(0, 512));
            first.Rings.Holds = true;
            driver.Submit(0, 8, Piece.Out(BlockDriver.Data, 512));
            driver.Queue.Publish();
            guest.Notify(0);
            inflight = first.Rings.InflightInode;
            Assert.NotNull(inflight);
        }

        _disk.AsSpan(4096, 512).Fill(0x77);
        using (guest)
        using (VhostUserPeer second = new VhostUserPeer(Socket, _disk).Start())
        {
            driver.Queue.Await();
            Assert.Equal(Ok, _memory.Read<byte>(BlockDriver.Status));
            Assert.Equal(Enumerable.Repeat((byte)0x77, 512), driver.Bytes(512));
            Assert.Equal(inflight, second.Rings.InflightInode);
            Assert.Equal(Ok, driver.Write(3, new byte[512]));
            Assert.Equal(new VhostUserCounters(true, 1, 0), ((VhostUserDevice)guest.Function.Device).Counters with { Calls = 0 });
        }
    }

    [Fact]
    public void Without_a_record_of_requests_the_driver_has_to_begin_anew()
    {
        using PciGuest guest = Lost(out VhostUserPeer first);
        first.Dispose();
        SpinWait.SpinUntil(() => (guest.Status & 64) != 0, 10_000);
        Assert.Equal(64, guest.Status & 64);
        Assert.Contains("not there", guest.Function.Device.SaveObstacle, StringComparison.Ordinal);
        using VhostUserPeer second = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = 0xb | (1 << 9) }.Start();
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(Ok, driver.Read(0, 512));
    }

    [Fact]
    public void With_nothing_in_flight_no_record_is_needed()
    {
        using VhostUserPeer first = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = 0xb | (1 << 9) }.Start();
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(Ok, driver.Read(0, 512));
        first.Dispose();
        using VhostUserPeer second = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = 0xb | (1 << 9) }.Start();
        Assert.Equal(Ok, driver.Read(0, 512));
        Assert.Equal(15, guest.Status);
    }

    [Fact]
    public void A_back_end_may_also_connect()
    {
        VhostUserDevice? device = null;
        Thread thread = new(() => device = Device(isServer: true));
        thread.Start();
        Assert.True(SpinWait.SpinUntil(() => File.Exists(Socket), 10_000));
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk, connects: true).Start();
        thread.Join();
        using PciGuest guest = new(device!, _memory);
        Assert.Equal(Ok, new BlockDriver(_memory, guest).Read(0, 512));
    }

    [Fact]
    public void Memory_in_many_pieces_is_shared_one_by_one()
    {
        using TestMemory memory = new(sharedRegions: 16);
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(new VhostUserBlockDevice(Options(), memory.Guest, NullLogger.Instance), memory);
        Assert.Equal(Ok, new BlockDriver(memory, guest).Read(0, 512, 0x50_0000));
        Assert.Equal(17, peer.Rings.RegionCount);

        peer.Dispose();
        using VhostUserPeer few = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = 0xb | (1 << 9) }.Start();
        Assert.Contains("17 pieces", Assert.Throws<VhostUserException>(
            () => new VhostUserBlockDevice(Options(), memory.Guest, NullLogger.Instance)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_that_nobody_else_can_map_is_refused()
    {
        using TestMemory memory = new();
        Assert.Contains("shared=on", Assert.Throws<VhostUserException>(
            () => new VhostUserBlockDevice(Options(), memory.Guest, NullLogger.Instance)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_is_saved_only_before_it_is_used()
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, _disk).Start();
        using PciGuest guest = new(new VhostUserFsDevice(Options(queues: 2), "tag", _memory.Guest, NullLogger.Instance), _memory);
        Assert.Equal("tag\0"u8.ToArray(), guest.ReadConfiguration(0, 4));
        Assert.Equal(1, guest.ReadConfiguration(36, 1)[0]);
        BlockDriver driver = new(_memory, guest, queues: 2, index: 1);
        guest.Function.Pause();
        Assert.Null(guest.Function.Device.SaveObstacle);
        guest.Function.Resume();
        Assert.Equal(Ok, driver.Read(0, 512));
        guest.Function.Pause();
        Assert.Contains("FUSE session", guest.Function.Device.SaveObstacle, StringComparison.Ordinal);
        guest.Function.Resume();
        guest.Status = 0;
        Assert.Null(guest.Function.Device.SaveObstacle);
    }

    private PciGuest Lost(out VhostUserPeer first, ulong protocolFeatures = 0xb | (1 << 9))
    {
        first = new VhostUserPeer(Socket, _disk) { ProtocolFeatures = protocolFeatures }.Start();
        PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(Ok, driver.Read(0, 512));
        first.Rings.Holds = true;
        driver.Submit(0, 8, Piece.Out(BlockDriver.Data, 512));
        driver.Queue.Publish();
        guest.Notify(0);
        return guest;
    }

    private VhostUserBlockDevice Device(int queues = 1, bool isServer = false) =>
        new(Options(queues, isServer), _memory.Guest, NullLogger.Instance);

    private VhostUserOptions Options(int queues = 1, bool isServer = false) => new()
    {
        Id = "_vu", Socket = Socket, QueueCount = queues, QueueSize = 16, IsServer = isServer,
    };
}
