using System.Buffers.Binary;
using Cnvm.Fuzz;
using Cnvm.Linux;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>Front ends that say what cannot be lose their connection; the next one is served.</summary>
public sealed class VhostUserServerHostileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vhost-").FullName;
    private readonly TestMemory _memory = new(sharedRegions: 1);
    private readonly RecordingImage _image = new(1 << 20);
    private readonly FileDescriptor _small = MemoryFile.Create("small", 4096);
    private readonly FileDescriptor _huge = MemoryFile.Create("huge", 2 << 20, Libc.MFD_HUGETLB | (21 << 26));
    private readonly FileDescriptor _null = new(Libc.open("/dev/null", Libc.O_RDWR, 0));
    private readonly EventFd _event = new();

    private string Socket => Path.Combine(_folder, "s");

    public void Dispose()
    {
        _memory.Dispose();
        _small.Dispose();
        _huge.Dispose();
        _null.Dispose();
        _event.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void What_cannot_be_ends_the_connection_and_no_more()
    {
        using ServedDisk disk = new(Socket, _image, queues: 2, limitMilliseconds: 200);
        List<Action<RawFrontEnd>> wrongs =
        [
            f => f.SendRaw(new byte[12]),
            f => f.Send(1, [], flags: 0),
            f => f.Send(1, [], flags: 5),
            f => f.Send(1, [], size: 269),
            f => f.Send(1, [], size: uint.MaxValue),
            f => f.Send(1, new byte[8], size: 9),
            f => f.SendRaw([1, 0, 0]),
            f => f.SendRaw(VhostUserPeer.Message(8, 8, new byte[7])),
            f => f.Send(1, new byte[8]),
            f => f.Send(1, [], descriptors: _event.Fd),
            f => f.Send(2, ulong.MaxValue),
            f => f.Send(2, new byte[7]),
            f => f.Send(16, ulong.MaxValue),
            f => f.Send(4242, []),
            f => f.Send(5, RawFrontEnd.Table(_memory.Guest)),
            f => f.Send(5, RawFrontEnd.Table(_memory.Guest), descriptors: [_small.Value, _small.Value, _small.Value]),
            f => f.Send(5, RawFrontEnd.Table(_memory.Guest), descriptors: [_small.Value, _small.Value]),
            f => f.Send(5, RawFrontEnd.Table(_memory.Guest), descriptors: [_null.Value, _null.Value]),
            f => f.Send(5, new byte[8]),
            f => f.Send(5, [255, 255, 255, 255, 0, 0, 0, 0]),
            f => f.Send(37, Region(0, 4096, 4096)),
            f => f.Send(37, Region(0, 0, 0), descriptors: _small.Value),
            f => f.Send(37, Region(1, 4096, 0), descriptors: _small.Value),
            f => f.Send(37, Region(0, 4096, 0), descriptors: _huge.Value),
            f => f.Send(37, Region(0x1000, 2 << 20, 0), descriptors: _huge.Value),
            f => f.Send(37, Region(0, 8192, 0), descriptors: _small.Value),
            f => f.Send(37, Region(0, 4096, 4096), descriptors: _small.Value),
            f => f.Send(37, Region(0, 4096, 0xffff_ffff_ffff_f000), descriptors: _small.Value),
            f => f.Send(37, Region(0xffff_ffff_ffff_f000, 4096, 0), descriptors: _small.Value),
            f => f.Send(37, Region(0, 0xffff_ffff_ffff_f000, 0), descriptors: _small.Value),
            f => f.Send(37, [.. new byte[8], .. RawFrontEnd.Region(0, 4096, ulong.MaxValue - 100, 0)], descriptors: _small.Value),
            f => Twice(f, 37, Region(0x10_0000, 4096, 0), _small.Value),
            f => { f.Send(37, Region(0x1000, 4096, 0), descriptors: _small.Value); f.Send(37, Region(0xf_ffff_ffff_e000, 4096, 0), descriptors: _small.Value); },
            f => f.Send(38, Region(0x10_0000, 4096, 0)),
            f => f.State(8, 0, 0),
            f => f.State(8, 0, 3),
            f => f.State(8, 0, 65536),
            f => f.State(8, 2, 16),
            f => f.State(8, uint.MaxValue, 16),
            f => f.State(10, 0, 65536),
            f => f.State(11, 2, 0),
            f => f.State(18, 0, 2),
            f => f.Send(9, RawFrontEnd.Address(9, 0, 0, 0, 0)),
            f => f.Send(12, 0UL),
            f => f.Send(12, 0x100UL),
            f => f.Send(12, 7UL, _event.Fd),
            f => f.Send(12, 0UL, _null.Value),
            f => f.Send(13, 0UL, _null.Value),
            f => f.Send(13, 0UL, _event.Fd, _event.Fd),
            f => f.Send(14, 3UL, _event.Fd),
            f => f.Send(6, Pair(4096, 0), descriptors: _null.Value),
            f => f.Send(6, Pair(4096, 4096), descriptors: _small.Value),
            f => f.Send(6, Pair(ulong.MaxValue, 0), descriptors: _small.Value),
            f => f.Send(6, Pair(0, 0), descriptors: _small.Value),
            f => f.Send(6, Pair(8, 8), descriptors: _small.Value),
            f => f.Send(6, Pair(15, 0), descriptors: _small.Value),
            f => f.Send(6, Pair(4096, 0), descriptors: _huge.Value),
            f => f.Send(24, Config(0, 257, 257)),
            f => f.Send(24, Config(uint.MaxValue, 4, 4)),
            f => f.Send(24, Config(0, 4, 5)),
            f => f.Send(24, new byte[11]),
            f => f.Send(25, Config(250, 10, 10)),
            f => f.Send(31, Inflight(0, 0, 0, 16)),
            f => f.Send(31, Inflight(0, 0, 1, 0)),
            f => f.Send(31, Inflight(0, 0, 300, 16)),
            f => f.Send(32, Inflight(4096, 0, 1, 16), descriptors: _null.Value),
            f => f.Send(32, Inflight(4096, 0, 2, 256), descriptors: _small.Value),
            f => f.Send(32, Inflight(ulong.MaxValue, 0, 1, 16), descriptors: _small.Value),
            f => f.Send(32, Inflight(4096, 4096, 1, 16), descriptors: _small.Value),
            f => f.Send(32, Inflight(4096, 0, 1, 16), descriptors: _huge.Value),
            f => Ring(f, used: 0x123),
            f => Ring(f, used: RawFrontEnd.UserOffset + 0x3f_fffe),
            f => Ring(f, used: RawFrontEnd.UserOffset + 0x1001),
            f => Ring(f, used: RawFrontEnd.UserOffset + TestMemory.HoleStart - 4),
            f => Ring(f, descriptors: RawFrontEnd.UserOffset + TestMemory.HoleStart - 16),
            f => Ring(f, descriptors: RawFrontEnd.UserOffset + TestMemory.HoleStart),
            f => Ring(f, avail: RawFrontEnd.UserOffset + TestMemory.End - 2),
            f => Ring(f, start: 17),
            f => { f.Send(32, Inflight(4096, 0, 1, 8), descriptors: _small.Value); Ring(f); },
        ];
        foreach ((Action<RawFrontEnd> wrong, int i) in wrongs.Select((w, i) => (w, i)))
        {
            using (RawFrontEnd front = new(Socket))
            {
                front.Greet(_memory);
                wrong(front);
                byte[]? answer = front.Receive();
                Assert.True(answer is null, $"wrong message {i} is answered");
            }

            AssertServes(disk);
        }
    }

    [Fact]
    public void What_is_refused_is_said_where_that_was_agreed_on()
    {
        using ServedDisk disk = new(Socket, _image);
        using RawFrontEnd front = new(Socket);
        front.Greet(_memory);
        front.Send(8, BitConverter.GetBytes(16UL << 32), flags: 9);
        Assert.Equal(0UL, BitConverter.ToUInt64(front.Receive()!));
        front.Send(8, BitConverter.GetBytes(15UL << 32), flags: 9);
        Assert.Equal(1UL, BitConverter.ToUInt64(front.Receive()!));
        Assert.Null(front.Receive());
        AssertServes(disk);
    }

    [Fact]
    public void Doorbells_that_were_filled_and_made_to_block_hold_nobody_up()
    {
        using ServedDisk disk = new(Socket, _image);
        using EventFd kick = new();
        using EventFd call = new();
        using (RawFrontEnd front = new(Socket))
        {
            front.Greet(_memory);
            Jam(call);
            Jam(kick);
            var queue = new DriverQueue(_memory, 0x1000, 16, eventIndex: false);
            _memory.Write(BlockDriver.Header, 4u);
            queue.Add(Piece.In(BlockDriver.Header, 16), Piece.Out(BlockDriver.Status, 1));
            queue.Publish();
            front.StartRing(queue, 0, kick, call);
            queue.Await();
        }

        AssertServes(disk);
    }

    /// <summary>Messages of noise and of half sense, with descriptors of every kind.</summary>
    [Fact]
    public void Noise_ends_connections_and_nothing_else()
    {
        using ServedDisk disk = new(Socket, _image, queues: 2, limitMilliseconds: 1000);
        SeededRuns.Repeat(300, seed =>
        {
            Noise(new Random(seed));
            Assert.True(disk.IsAlive);
        });

        AssertServes(disk);
    }

    private void Noise(Random random)
    {
        using RawFrontEnd front = new(Socket);
        if (random.Next(4) != 0)
        {
            front.Greet(_memory);
        }

        uint[] requests = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 25, 31, 32, 36, 37, 38];
        int[] descriptors = [_small.Value, _null.Value, _event.Fd, _memory.Guest.Regions[0].BackingFd];
        for (int i = 0; i < 40; i++)
        {
            uint request = random.Next(20) == 0 ? (uint)random.Next() : requests[random.Next(requests.Length)];
            byte[] payload = Payload(random, request);
            int count = random.Next(4) == 0 ? random.Next(10) : request is 5 ? 2 : request is 6 or 7 or 12 or 13 or 14 or 32 or 37 ? 1 : 0;
            uint flags = random.Next(20) == 0 ? (uint)random.Next(16) : random.Next(2) == 0 ? 1u : 9;
            int kind = request is 12 or 13 or 14 ? 2 : 3;
            bool sent = front.Send(
                request,
                payload,
                flags,
                random.Next(30) == 0 ? (uint)random.Next(400) : null,
                [.. Enumerable.Range(0, count).Select(_ => descriptors[random.Next(6) == 0 ? random.Next(descriptors.Length) : kind])]);
            if (!sent)
            {
                return;
            }
        }
    }

    private byte[] Payload(Random random, uint request)
    {
        ulong Any() => random.Next(3) switch
        {
            0 => (ulong)random.Next(4) * 4096,
            1 => RawFrontEnd.UserOffset + ((ulong)random.Next(0x600) * 4096),
            _ => (ulong)random.NextInt64(),
        };

        byte[] payload = request switch
        {
            1 or 3 or 4 or 15 or 17 or 36 => [],
            2 => BitConverter.GetBytes(VirtioFeatures.Version1 | ((ulong)random.Next(16) << 26)),
            5 => RawFrontEnd.Table(_memory.Guest),
            6 => Pair(4096, (ulong)random.Next(2) * 4096),
            8 => BitConverter.GetBytes((ulong)(uint)random.Next(3) | (1UL << (32 + random.Next(20)))),
            9 => RawFrontEnd.Address((uint)random.Next(3), (uint)random.Next(2), Any(), Any(), Any()),
            10 or 18 => BitConverter.GetBytes((ulong)(uint)random.Next(3) | ((ulong)(uint)random.Next(3) << 32)),
            24 or 25 => Config((uint)random.Next(300), (uint)random.Next(64), random.Next(64)),
            31 or 32 => Inflight(4096, 0, (ushort)random.Next(4), (ushort)random.Next(300)),
            37 or 38 => Region(Any(), (ulong)random.Next(4) * 4096, Any()),
            _ => BitConverter.GetBytes((ulong)random.Next(3)),
        };
        if (random.Next(5) == 0 && payload.Length > 0)
        {
            payload[random.Next(payload.Length)] ^= (byte)(1 << random.Next(8));
        }

        return payload;
    }

    private void AssertServes(ServedDisk disk)
    {
        using RawFrontEnd front = new(Socket);
        front.Greet(_memory);
        var queue = new DriverQueue(_memory, 0x1000, 16, eventIndex: false);
        using EventFd kick = new();
        using EventFd call = new();
        front.StartRing(queue, 0, kick, call);
        _memory.Write(BlockDriver.Header, 4u);
        queue.Add(Piece.In(BlockDriver.Header, 16), Piece.Out(BlockDriver.Status, 1));
        queue.Publish();
        kick.Signal();
        queue.Await();
        Assert.True(disk.IsAlive);
    }

    private void Ring(
        RawFrontEnd front,
        ulong descriptors = RawFrontEnd.UserOffset + 0x1000,
        ulong used = RawFrontEnd.UserOffset + 0x3000,
        ulong avail = RawFrontEnd.UserOffset + 0x2000,
        uint start = 0)
    {
        _memory.Write(0x3000, 0u);
        front.State(8, 0, 16);
        front.State(10, 0, start);
        front.Send(9, RawFrontEnd.Address(0, 0, descriptors, used, avail));
        front.Send(12, 0UL, _event.Fd);
        front.State(18, 0, 1);
    }

    private static void Twice(RawFrontEnd front, uint request, byte[] payload, int descriptor)
    {
        front.Send(request, payload, descriptors: descriptor);
        front.Send(request, payload, descriptors: descriptor);
    }

    private static unsafe void Jam(EventFd e)
    {
        ulong full = ulong.MaxValue - 1;
        Assert.Equal(8, Libc.write(e.Fd, &full, 8));
        Assert.Equal(0, VhostUserPeerRings.MakeBlocking(e.Fd));
    }

    private static byte[] Region(ulong gpa, ulong size, ulong offset) => [.. new byte[8], .. RawFrontEnd.Region(gpa, size, 0, offset)];

    private static byte[] Pair(ulong a, ulong b) => [.. BitConverter.GetBytes(a), .. BitConverter.GetBytes(b)];

    private static byte[] Config(uint offset, uint size, int bytes)
    {
        byte[] payload = new byte[12 + bytes];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, offset);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(4), size);
        return payload;
    }

    private static byte[] Inflight(ulong bytes, ulong offset, ushort queues, ushort size) =>
        [.. Pair(bytes, offset), .. BitConverter.GetBytes(queues), .. BitConverter.GetBytes(size), .. new byte[4]];
}
