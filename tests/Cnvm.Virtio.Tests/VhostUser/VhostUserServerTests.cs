using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>cnvm's front end and cnvm's back end, in one process and with a socket between them.</summary>
public sealed unsafe class VhostUserServerTests : IDisposable
{
    private const byte Ok = 0;
    private const int PatienceMilliseconds = 20_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vhost-").FullName;
    private readonly TestMemory _memory = new(sharedRegions: 1);
    private readonly RecordingImage _image = new(1 << 20);

    private string Socket => Path.Combine(_folder, "s");

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(3, 2)]
    public void Requests_and_configuration_pass(int queues, int index)
    {
        new Random(1).NextBytes(_image.Content);
        byte[] data = new byte[8192];
        new Random(2).NextBytes(data);
        using ServedDisk disk = new(Socket, _image, queues);
        using PciGuest guest = new(Device(queues), _memory);
        BlockDriver driver = new(_memory, guest, queues: queues, index: index);
        Assert.Equal(2048, BitConverter.ToInt64(guest.ReadConfiguration(0, 8)));
        Assert.Equal(queues, guest.ReadConfiguration(34, 1)[0]);
        Assert.Equal(queues > 1, (driver.Features & (1UL << 12)) != 0);
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(Ok, driver.Read(16, 4096));
            guest.AwaitInterrupt(index);
            Assert.Equal(_image.Content[8192..12288], driver.Bytes(4096));
            Assert.Equal(Ok, driver.Write(100, data));
            Assert.Equal(data, _image.Content[51200..(51200 + data.Length)]);
            Assert.Equal(Ok, driver.Flush());
            Assert.Equal(Ok, driver.Request(8, 0, Piece.Out(BlockDriver.Data, 20)));
            Assert.Equal("served"u8.ToArray(), driver.Bytes(6));
            Assert.Equal(1, driver.Read(2047, 1024));

            // Over a stop and a start, and with another driver.
            guest.Function.Pause();
            Assert.Null(guest.Function.Device.SaveObstacle);
            QueueIndices(guest, index, out ushort next, out ushort used);
            Assert.Equal(driver.Queue.UsedIndex, used);
            Assert.Equal(used, next);
            guest.Function.Resume();
            Assert.Equal(Ok, driver.Read(0, 512));
            driver = new(_memory, guest, queues: queues, index: index);
        }
    }

    [Fact]
    public void The_cache_mode_is_the_drivers()
    {
        using ServedDisk disk = new(Socket, _image);
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(Ok, driver.Write(0, new byte[512]));
        Assert.DoesNotContain(BlockOperation.Flush, _image.Take());
        guest.WriteConfiguration(32, [0]);
        Assert.Equal(Ok, driver.Write(0, new byte[512]));
        Assert.Contains(BlockOperation.Flush, _image.Take());
    }

    [Fact]
    public void What_it_writes_is_in_the_log()
    {
        using ServedDisk disk = new(Socket, _image);
        using PciGuest guest = new(Device(), _memory);
        BlockDriver driver = new(_memory, guest, BlockDriver.AllFeatures & ~VirtioFeatures.EventIndex);
        MarkedWrites.Check(_memory, guest, driver);

        guest.Function.Pause();
        guest.Function.Resume();
        Assert.Equal(Ok, driver.Read(0, 512));
        var dirty = new DirtyBitmap(_memory.Guest.Regions);
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.True(dirty.IsDirty(0, BlockDriver.Data >> 12));
        _memory.Guest.StopDirtyTracking();
        Assert.Equal(Ok, driver.Read(0, 512));
        Assert.True(((VhostUserDevice)guest.Function.Device).Counters.IsConnected);
    }

    [Fact]
    public void A_guest_goes_on_with_the_next_back_end_and_a_back_end_with_the_next_guest()
    {
        using PciGuest guest = Connected(out ServedDisk first);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(Ok, driver.Write(7, Enumerable.Repeat((byte)1, 512).ToArray()));
        first.Dispose();
        driver.Submit(0, 7, Piece.Out(BlockDriver.Data + 0x1000, 512));
        driver.Queue.Publish();
        guest.Notify(0);
        using ServedDisk second = new(Socket, _image);
        driver.Queue.Await();
        Assert.Equal(1, _memory.Read<byte>(BlockDriver.Data + 0x1000));
        Assert.Equal(1UL, ((VhostUserDevice)guest.Function.Device).Counters.Reconnects);
        guest.Dispose();
        using PciGuest other = new(Device(), _memory);
        Assert.Equal(Ok, new BlockDriver(_memory, other).Read(7, 512));
    }

    [Fact]
    public void Memory_in_many_pieces_is_mapped_one_by_one()
    {
        using TestMemory memory = new(sharedRegions: 16);
        using ServedDisk disk = new(Socket, _image);
        using PciGuest guest = new(new VhostUserBlockDevice(Options(1), memory.Guest, NullLogger.Instance), memory);
        Assert.Equal(Ok, new BlockDriver(memory, guest).Read(0, 8192, 0x50_0000 - 0x12_0000));
        Assert.Equal(Ok, new BlockDriver(memory, guest).Read(0, 512, 0x50_0000));
    }

    [Fact]
    public void What_a_back_end_that_was_killed_has_not_finished_is_done_again_in_order()
    {
        using ServedDisk disk = new(Socket, _image);
        using RawFrontEnd front = new(Socket);
        front.Greet(_memory, VirtioFeatures.Version1 | (1UL << 30) | (1UL << 9));
        List<FileDescriptor> files = [];
        byte[] description = new byte[24];
        BitConverter.TryWriteBytes(description.AsSpan(16), (ushort)1);
        BitConverter.TryWriteBytes(description.AsSpan(18), (ushort)16);
        front.Send(31, description);
        byte[] answer = front.Receive(files)!;
        using FileDescriptor inflight = Assert.Single(files);
        using MappedMemory notes = MappedMemory.Map(4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, inflight.Value, 0, "notes");
        var queue = new DriverQueue(_memory, 0x1000, 16, eventIndex: false);
        ushort[] heads = [.. Enumerable.Range(0, 4).Select(i => Write(queue, i, sector: i is 1 or 2 ? 50UL : (ulong)i))];
        queue.Publish();

        // As it was killed: the first request was done and shown to the driver, the third was taken before the second, the fourth not at all.
        byte* at = (byte*)notes.Address;
        *(ushort*)(at + 8) = 1;
        *(ushort*)(at + 10) = 16;
        *(ushort*)(at + 12) = heads[0];
        foreach ((int i, ulong order) in ((int, ulong)[])[(0, 1), (2, 2), (1, 3)])
        {
            at[16 + (heads[i] * 16)] = 1;
            *(ulong*)(at + 16 + (heads[i] * 16) + 8) = order;
        }

        _memory.Write(queue.UsedRing + 4, (uint)heads[0]);
        _memory.Write(queue.UsedRing + 2, (ushort)1);
        Assert.True(front.Send(32, answer, descriptors: inflight.Value));
        using EventFd kick = new();
        using EventFd call = new();
        front.StartRing(queue, 1, kick, call);
        for (int i = 0; i < 4; i++)
        {
            queue.Await();
        }

        Assert.Equal(0, _image.Content[0]);
        Assert.Equal(2, _image.Content[50 * 512]);
        Assert.Equal(4, _image.Content[3 * 512]);
        Assert.Equal([BlockOperation.Write, BlockOperation.Write, BlockOperation.Write], _image.Take());
        front.State(11, 0, 0);
        Assert.Equal(4UL << 32, BitConverter.ToUInt64(front.Receive()!));
        Assert.Equal(4, *(ushort*)(at + 14));
        Assert.All(heads, head => Assert.Equal(0, at[16 + (head * 16)]));
    }

    [Fact]
    public void Rings_go_on_when_memory_is_described_anew_and_a_disabled_ring_waits()
    {
        using ServedDisk disk = new(Socket, _image);
        using RawFrontEnd front = new(Socket);
        front.Greet(_memory);
        var queue = new DriverQueue(_memory, 0x1000, 16, eventIndex: false);
        using EventFd kick = new();
        using EventFd call = new();
        front.StartRing(queue, 0, kick, call);
        for (int i = 0; i < 20; i++)
        {
            Write(queue, i, (ulong)i);
            queue.Publish();
            kick.Signal();
            Assert.True(front.Send(5, RawFrontEnd.Table(_memory.Guest), flags: 9, descriptors: [.. _memory.Guest.Regions.Select(r => r.BackingFd)]));
            Assert.Equal(0UL, BitConverter.ToUInt64(front.Receive()!));
            queue.Await();
            Assert.Equal(i + 1, _image.Content[i * 512]);
        }

        Assert.True(call.Drain());
        Assert.True(front.State(18, 0, 0));
        front.Ask(1);
        Write(queue, 1, 40);
        queue.Publish();
        kick.Signal();
        front.State(11, 0, 0);
        Assert.Equal(20UL << 32, BitConverter.ToUInt64(front.Receive()!));
        Assert.Equal(0, _image.Content[40 * 512]);

        // What a back end without protocol features would do: rings are enabled from the start.
        front.Send(2, VirtioFeatures.Version1);
        front.Send(12, 0UL, kick.Fd);
        queue.Await();
        Assert.Equal(2, _image.Content[40 * 512]);
    }

    private static void QueueIndices(PciGuest guest, int index, out ushort next, out ushort used)
    {
        var queue = guest.Function.Save().Transport.Queues[index];
        (next, used) = (queue.NextAvail, queue.NextUsed);
    }

    private ushort Write(DriverQueue queue, int number, ulong sector)
    {
        ulong header = BlockDriver.Header + ((ulong)(number % 16) * 32);
        ulong data = BlockDriver.Data + ((ulong)(number % 16) * 512);
        _memory.Write(header, 1u);
        _memory.Write(header + 8, sector);
        _memory[data, 512].Fill((byte)(number + 1));
        return queue.Add(Piece.In(header, 16), Piece.In(data, 512), Piece.Out(BlockDriver.Status, 1));
    }

    private PciGuest Connected(out ServedDisk disk)
    {
        disk = new ServedDisk(Socket, _image);
        return new PciGuest(Device(), _memory);
    }

    private VhostUserBlockDevice Device(int queues = 1) => new(Options(queues), _memory.Guest, NullLogger.Instance);

    private VhostUserOptions Options(int queues) => new()
    {
        Id = "_vu", Socket = Socket, QueueCount = queues, QueueSize = 16, ConnectLimit = TimeSpan.FromMilliseconds(PatienceMilliseconds),
    };
}
