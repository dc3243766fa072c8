using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>A shared folder between cnvm's front end and cnvm's back end: files, sessions, and what becomes of them when one of the two goes.</summary>
public sealed unsafe class VhostUserFolderTests : IDisposable
{
    private const int PatienceMilliseconds = 20_000;
    private const ulong Protocol = 0x900b;
    private const ulong Request = 0x10_0000;
    private const ulong Answer = 0x20_0000;
    private readonly string _work = Directory.CreateTempSubdirectory("cnvm-vhost-").FullName;
    private readonly TestMemory _memory = new(sharedRegions: 1);

    public VhostUserFolderTests() => Directory.CreateDirectory(Folder);

    private string Socket => Path.Combine(_work, "s");

    private string Folder => Path.Combine(_work, "shared");

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_work, recursive: true);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Files_pass_both_ways_and_a_new_driver_begins_anew(int queues)
    {
        FsDevice folder = Share(queues);
        using ServedDisk served = new(Socket, folder);
        using PciGuest guest = new(Device(queues), _memory);
        Assert.Equal("tag\0"u8.ToArray(), guest.ReadConfiguration(0, 4));
        Assert.Equal(queues, guest.ReadConfiguration(36, 4)[0]);
        for (int round = 0; round < 3; round++)
        {
            FsDriver driver = new(_memory, guest, queues);
            Assert.Equal(round == 0 ? -Errno.EPROTO : 0, driver.Ask(FuseAbi.FUSE_GETATTR, 1, default(fuse_getattr_in)));
            driver.Begin();
            guest.AwaitInterrupt(1);
            Assert.Equal(0UL, folder.Counters.Nodes + folder.Counters.Handles);
            (ulong node, ulong handle) = driver.Create("f\0"u8);
            Assert.Equal(0, driver.Ask(FuseAbi.FUSE_WRITE, node, new fuse_write_in { fh = handle, size = 5 }, "hello"u8, queue: queues));
            Assert.Equal("hello", File.ReadAllText(Path.Combine(Folder, "f")));
            File.WriteAllText(Path.Combine(Folder, "f"), "from the host");

            // A stop is no end: what is open stays so.
            guest.Function.Pause();
            guest.Function.Resume();
            Assert.Equal(0, driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 4096 }, queue: queues));
            Assert.Equal("from the host"u8, driver.AnswerBytes);
            Assert.Equal(0, driver.Ask(FuseAbi.FUSE_RENAME, FuseAbi.FUSE_ROOT_ID, new fuse_rename_in { newdir = FuseAbi.FUSE_ROOT_ID }, "f\0g\0"u8));
            Assert.True(File.Exists(Path.Combine(Folder, "g")));
            Assert.Equal((1UL, 1UL), (folder.Counters.Nodes, folder.Counters.Handles));
        }
    }

    [Fact]
    public void What_it_writes_is_in_the_log()
    {
        File.WriteAllBytes(Path.Combine(Folder, "f"), new byte[8192]);
        using ServedDisk served = new(Socket, Share());
        using PciGuest guest = new(Device(), _memory);
        FsDriver driver = new(_memory, guest);
        driver.Begin();
        (ulong node, ulong handle) = driver.Create("f\0"u8);
        guest.AwaitInterrupt(1);
        _memory.Guest.StartDirtyTracking();
        Assert.Equal(0, driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 8192 }, room: 12288));

        // A page is marked after it is written, so the driver may see the answer before its mark; a stop waits for both.
        guest.Function.Pause();
        var dirty = new DirtyBitmap(_memory.Guest.Regions);
        _memory.Guest.CollectDeviceWrites(dirty);
        Assert.Equal([true, true, true, false], ((ulong[])[0x200, 0x201, 0x202, 0x203]).Select(page => dirty.IsDirty(0, page)));
        _memory.Guest.StopDirtyTracking();
    }

    /// <summary>As FUSE_DESTROY: nothing stays open for a front end that has gone, and its numbers mean nothing to the next one.</summary>
    [Fact]
    public void A_front_end_that_goes_leaves_nothing_behind()
    {
        FsDevice folder = Share();
        using ServedDisk served = new(Socket, folder);
        ulong node;
        using (PciGuest guest = new(Device(), _memory))
        {
            FsDriver driver = new(_memory, guest);
            driver.Begin();
            (node, _) = driver.Create("f\0"u8);
            Assert.Equal((1UL, 1UL), (folder.Counters.Nodes, folder.Counters.Handles));
        }

        Assert.True(SpinWait.SpinUntil(() => folder.Counters is { Nodes: 0, Handles: 0 }, PatienceMilliseconds));
        using PciGuest other = new(Device(), _memory);
        FsDriver next = new(_memory, other);
        Assert.Equal(-Errno.EPROTO, next.Ask(FuseAbi.FUSE_GETATTR, node, default(fuse_getattr_in)));
        next.Begin();
        Assert.Equal(-Errno.ENOENT, next.Ask(FuseAbi.FUSE_GETATTR, node, default(fuse_getattr_in)));
        Assert.Equal(0, next.Ask(FuseAbi.FUSE_GETATTR, FuseAbi.FUSE_ROOT_ID, default(fuse_getattr_in)));
    }

    [Fact]
    public void Requests_fail_while_the_back_end_is_away_and_until_a_session_begins_anew()
    {
        ServedDisk first = new(Socket, Share());
        using PciGuest guest = new(Device(), _memory);
        var device = (VhostUserDevice)guest.Function.Device;
        FsDriver driver = new(_memory, guest);
        driver.Begin();
        (ulong node, ulong handle) = driver.Create("f\0"u8);
        guest.AwaitInterrupt(1);
        first.Dispose();

        Assert.Equal(-Errno.ENOTCONN, driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 4096 }));
        guest.AwaitInterrupt(1);
        driver.Forget(node);
        Assert.Equal(-Errno.ENOTCONN, driver.Ask(FuseAbi.FUSE_INIT, 0, new fuse_init_in { major = 7, minor = 38 }));
        for (int i = 0; i < 3; i++)
        {
            guest.Function.Pause();
            Assert.NotNull(device.SaveObstacle);
            guest.Function.Resume();
            Assert.Equal(-Errno.ENOTCONN, driver.Ask(FuseAbi.FUSE_GETATTR, node, default(fuse_getattr_in)));
        }

        Assert.Equal(0, guest.Status & 64);
        FsDevice folder = Share();
        using ServedDisk second = new(Socket, folder);
        Assert.True(SpinWait.SpinUntil(() => device.Counters.IsConnected, PatienceMilliseconds));
        Assert.Equal(-Errno.EPROTO, driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 4096 }));
        driver.Forget(node);
        driver.Begin();
        (_, handle) = driver.Create("f\0"u8);
        Assert.Equal(0, driver.Ask(FuseAbi.FUSE_WRITE, node, new fuse_write_in { fh = handle, size = 5 }, "again"u8));
        Assert.Equal("again", File.ReadAllText(Path.Combine(Folder, "f")));
        Assert.Equal(1UL, device.Counters.Reconnects);

        // A driver that takes the device while there is no back end waits for one: it has no session yet.
        second.Dispose();
        guest.Status = 0;
        Assert.Null(device.SaveObstacle);
    }

    /// <summary>It takes memory and notes, and goes when it is given the first queue: again and again, and requests fail on.</summary>
    [Fact]
    public void A_next_back_end_that_is_of_no_use_changes_nothing()
    {
        ServedDisk first = new(Socket, Share());
        using PciGuest guest = new(Device(), _memory);
        FsDriver driver = new(_memory, guest);
        driver.Begin();
        guest.AwaitInterrupt(1);
        first.Dispose();
        Assert.Equal(-Errno.ENOTCONN, driver.Ask(FuseAbi.FUSE_GETATTR, 1, default(fuse_getattr_in)));
        using (VhostUserPeer useless = new VhostUserPeer(Socket, new byte[4096])
        {
            Features = VhostUserPeer.AllFeatures | VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors,
            HangUpAt = 12,
        }.Start())
        {
            Assert.True(SpinWait.SpinUntil(() => useless.Requests.Count(r => r == 12) > 1, PatienceMilliseconds));
            Assert.Equal(-Errno.ENOTCONN, driver.Ask(FuseAbi.FUSE_GETATTR, 1, default(fuse_getattr_in)));
        }

        using ServedDisk second = new(Socket, Share());
        Assert.True(SpinWait.SpinUntil(() => ((VhostUserDevice)guest.Function.Device).Counters.IsConnected, PatienceMilliseconds));
        driver.Begin();
        driver.Create("f\0"u8);
        Assert.Equal(0, guest.Status & 64);
    }

    /// <summary>Of two requests the back end has finished the second one when it is killed: the notes say that the first is in flight, the ring alone would not.</summary>
    [Fact]
    public void What_is_in_flight_when_the_back_end_is_killed_fails_once()
    {
        const ulong Notes = 1088;
        using FileDescriptor file = MemoryFile.Create("notes", 4096);
        using MappedMemory notes = MappedMemory.Map(4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, file.Value, 0, "notes");
        VhostUserPeer peer = new(Socket, new byte[4096]);
        peer.Rings.Inflight = file;
        peer.Start();
        using PciGuest guest = new(Device(), _memory);
        DriverQueue[] queues = [new(_memory, 0x1000, 16, eventIndex: false), new(_memory, 0x2000, 16, eventIndex: false)];
        guest.Start(VirtioFeatures.Version1, queues);
        DriverQueue queue = queues[1];

        // The peer serves a disk's request; then it holds what comes.
        _memory.Write(Request, 0UL);
        _memory.Write(Request + 8, 0UL);
        queue.Add(Piece.In(Request, 16), Piece.Out(Answer, 512), Piece.Out(Answer + 512, 1));
        guest.Run(1, queue);
        guest.AwaitInterrupt(1);
        peer.Rings.Holds = true;
        ushort inFlight = Add(queue, 0);
        ushort done = Add(queue, 1);
        ushort untaken = Add(queue, 2);
        queue.Publish();
        _memory.Write(queue.UsedRing + 4 + 8, (ulong)done);
        _memory.Write(queue.UsedRing + 2, (ushort)2);
        byte* at = (byte*)notes.Address + Notes;
        *(ushort*)(at + 8) = 1;
        *(ushort*)(at + 10) = 16;
        *(ushort*)(at + 14) = 2;
        at[16 + (inFlight * 16)] = 1;
        *(ulong*)(at + 16 + (inFlight * 16) + 8) = 1;
        peer.Dispose();

        Assert.Equal(done, queue.Await().Head);
        Assert.Equal((inFlight, 16u), queue.Await());
        Assert.Equal((untaken, 16u), queue.Await());
        foreach (int i in (int[])[0, 2])
        {
            Assert.Equal((16u, -Errno.ENOTCONN, 100UL + (ulong)i), Read(i));
        }

        Assert.Equal(0, at[16 + (inFlight * 16)]);
        Assert.Equal(4, *(ushort*)(at + 14));
        using ServedDisk second = new(Socket, Share());
        Assert.True(SpinWait.SpinUntil(() => ((VhostUserDevice)guest.Function.Device).Counters.IsConnected, PatienceMilliseconds));
        Add(queue, 3);
        Assert.Equal(16u, guest.Run(1, queue));
        Assert.Equal(-Errno.EPROTO, Read(3).Error);
        Assert.Equal(0, guest.Status & 64);
    }

    /// <summary>A back end that is there still, or whose notes could be cut off, may have done anything: the driver has to begin anew.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Where_nobody_knows_what_is_in_flight_the_driver_is_told_to_begin_anew(bool isThere)
    {
        using VhostUserPeer peer = new VhostUserPeer(Socket, new byte[4096]) { ProtocolFeatures = isThere ? VhostUserPeer.AllProtocolFeatures : 0xb }.Start();
        using PciGuest guest = new(Device(), _memory);
        DriverQueue[] queues = [new(_memory, 0x1000, 16, eventIndex: false), new(_memory, 0x2000, 16, eventIndex: false)];
        guest.Start(VirtioFeatures.Version1, queues);
        _memory.Write(Request, 0UL);
        _memory.Write(Request + 8, 0UL);
        queues[1].Add(Piece.In(Request, 16), Piece.Out(Answer, 512), Piece.Out(Answer + 512, 1));
        guest.Run(1, queues[1]);
        guest.AwaitInterrupt(1);
        peer.Rings.Holds = true;
        Add(queues[1], 0);
        queues[1].Publish();
        guest.Notify(1);
        if (isThere)
        {
            peer.Speak();
        }
        else
        {
            peer.Dispose();
        }

        Assert.True(SpinWait.SpinUntil(() => (guest.Status & 64) != 0, PatienceMilliseconds));
        Assert.False(queues[1].HasUsed);
    }

    /// <summary>Requests of a session that ended with the process that served it are never done again: all of them fail.</summary>
    [Fact]
    public void What_a_back_end_that_was_killed_has_not_finished_is_refused()
    {
        string file = Path.Combine(Folder, "f");
        File.WriteAllText(file, "content");
        FsDevice folder = Share();
        using ServedDisk served = new(Socket, folder);
        using RawFrontEnd front = new(Socket);
        front.Greet(_memory, VirtioFeatures.Version1 | (1UL << 30), Protocol);
        Assert.Equal(2UL, front.Ask(17));
        List<FileDescriptor> files = [];
        byte[] description = new byte[24];
        BitConverter.TryWriteBytes(description.AsSpan(16), (ushort)2);
        BitConverter.TryWriteBytes(description.AsSpan(18), (ushort)16);
        front.Send(31, description);
        byte[] answer = front.Receive(files)!;
        using FileDescriptor inflight = Assert.Single(files);
        using MappedMemory notes = MappedMemory.Map(4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, inflight.Value, 0, "notes");
        var queue = new DriverQueue(_memory, 0x2000, 16, eventIndex: false);
        ushort head = Add(queue, 0, FuseAbi.FUSE_UNLINK, "f\0"u8);
        queue.Publish();
        byte* at = (byte*)notes.Address + 320;
        *(ushort*)(at + 8) = 1;
        *(ushort*)(at + 10) = 16;
        at[16 + (head * 16)] = 1;
        *(ulong*)(at + 16 + (head * 16) + 8) = 1;
        Assert.True(front.Send(32, answer, descriptors: inflight.Value));
        using EventFd kick = new();
        using EventFd call = new();
        front.StartRing(queue, 0, kick, call, index: 1);
        Assert.Equal((head, 16u), queue.Await());
        Assert.Equal(-Errno.EPROTO, Read(0).Error);
        Assert.Equal("content", File.ReadAllText(file));

        // The tag is the front end's: nobody may ask for it here.
        front.Send(24, [.. new byte[4], 4, .. new byte[11]]);
        Assert.Null(front.Receive());
    }

    /// <summary>Front ends that go in the middle of requests, and requests that make no sense: no descriptor stays open, and the next one is served.</summary>
    [Fact]
    public void Front_ends_that_go_at_work_cost_nothing()
    {
        FsDevice folder = Share(queues: 2);
        using ServedDisk served = new(Socket, folder, limitMilliseconds: 1000);
        Random random = new(1);
        int before = 0;
        for (int round = 0; round < 60; round++)
        {
            using (RawFrontEnd front = new(Socket))
            {
                front.Greet(_memory, protocol: Protocol);
                using EventFd kick = new();
                using EventFd call = new();
                var queue = new DriverQueue(_memory, 0x2000, 64, eventIndex: false);
                _memory.Write(Request, new fuse_in_header { len = 104, opcode = FuseAbi.FUSE_INIT, unique = 1 });
                _memory.Write(Request + 40, new fuse_init_in { major = 7, minor = 38 });
                queue.Add(Piece.In(Request, 104), Piece.Out(Answer, 128));
                for (int i = 1; i < 20; i++)
                {
                    Assert.True(round % 3 == 0 ? Noise(queue, i, random) : Add(queue, i, FuseAbi.FUSE_CREATE, FuseClientBytes(i)) < 64);
                }

                queue.Publish();
                front.StartRing(queue, 0, kick, call, index: 1 + (uint)(round % 2));
                if (round % 2 == 0)
                {
                    queue.Await();
                }
            }

            Assert.True(SpinWait.SpinUntil(() => folder.Counters is { Nodes: 0, Handles: 0 }, PatienceMilliseconds));
            before = round == 10 ? OpenFiles() : before;
        }

        using PciGuest guest = new(Device(2), _memory);
        FsDriver driver = new(_memory, guest, 2);
        driver.Begin();
        driver.Create("still-works\0"u8);
        guest.Dispose();
        Assert.True(SpinWait.SpinUntil(() => OpenFiles() <= before + 8, PatienceMilliseconds), $"{OpenFiles()} files are open, {before} before");
        Assert.True(served.IsAlive);
    }

    private static int OpenFiles() => Directory.GetFiles("/proc/self/fd").Length;

    /// <summary>The arguments of FUSE_CREATE.</summary>
    private static byte[] FuseClientBytes(int number) => [.. Fs.FuseClient.Bytes(new fuse_create_in { flags = 0x42, mode = 0x81b0 }), .. Fs.FuseClient.Text($"f{number}")];

    /// <summary>A request that fits into one of a few places in memory; FUSE_GETATTR unless something else is asked for.</summary>
    private ushort Add(DriverQueue queue, int number, uint operation = FuseAbi.FUSE_GETATTR, ReadOnlySpan<byte> body = default)
    {
        if (body.IsEmpty)
        {
            body = new byte[16];
        }

        ulong request = Request + ((ulong)number * 4096);
        _memory.Write(request, new fuse_in_header { len = (uint)(40 + body.Length), opcode = operation, unique = 100 + (ulong)number, nodeid = FuseAbi.FUSE_ROOT_ID });
        body.CopyTo(_memory[request + 40, body.Length]);
        return queue.Add(Piece.In(request, 40 + body.Length), Piece.Out(Answer + ((ulong)number * 4096), 1024));
    }

    private bool Noise(DriverQueue queue, int number, Random random)
    {
        byte[] body = new byte[random.Next(200)];
        random.NextBytes(body);

        // Anything but names that are no text, and what fills the disk of whoever runs the tests.
        for (int i = 0; i < body.Length; i++)
        {
            body[i] &= 0x7f;
        }

        uint operation = (uint)random.Next(1, 40);
        Add(queue, number, operation is FuseAbi.FUSE_SETATTR ? FuseAbi.FUSE_LOOKUP : operation, body);
        return true;
    }

    private (uint Bytes, int Error, ulong Unique) Read(int number)
    {
        fuse_out_header header = _memory.Read<fuse_out_header>(Answer + ((ulong)number * 4096));
        return (header.len, header.error, header.unique);
    }

    private FsDevice Share(int queues = 1) =>
        new(new FsOptions { Id = "folder", Tag = "folder", Path = Folder, RequestQueues = queues, MaxDescriptors = 400 }, NullLogger.Instance);

    private VhostUserFsDevice Device(int queues = 1) => new(
        new VhostUserOptions
        {
            Id = "_vu",
            Socket = Socket,
            QueueCount = queues + 1,
            QueueSize = 64,
            ConnectLimit = TimeSpan.FromMilliseconds(PatienceMilliseconds),
        },
        "tag",
        _memory.Guest,
        NullLogger.Instance);
}
