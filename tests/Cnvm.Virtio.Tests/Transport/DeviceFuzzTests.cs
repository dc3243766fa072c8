using System.Net.Sockets;
using Cnvm.Devices.Serial;
using Cnvm.Fuzz;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Console;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Tests.Block.Qcow2;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Vsock;
using Cnvm.Virtio.Watchdog;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Transport;

/// <summary>
/// Whole devices on rings of noise, also while they are paused and reset: none may crash, hang or stop working afterwards.
/// Seeded.
/// </summary>
public sealed class DeviceFuzzTests : IDisposable
{
    private const int Seeds = 25;
    private const uint VsockPort = 1024;
    private readonly TestMemory _memory = new();
    private readonly ScratchDisk _disk = new(1024 * 1024);
    private readonly VsockHost _host = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-fs-").FullName;
    private readonly List<Socket> _peers = [];
    private readonly ImageFolder _images = new();

    public void Dispose()
    {
        _peers.ForEach(p => p.Dispose());
        _host.Dispose();
        _memory.Dispose();
        _disk.Dispose();
        _images.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [SkippableTheory]
    [InlineData("block-uring")]
    [InlineData("block-threads")]
    [InlineData("block-limited")]
    [InlineData("block-qcow2")]
    [InlineData("net")]
    [InlineData("rng")]
    [InlineData("console")]
    [InlineData("vsock")]
    [InlineData("balloon")]
    [InlineData("watchdog")]
    [InlineData("fs")]
    public void Noise_does_no_harm(string kind)
    {
        if (kind == "block-qcow2")
        {
            QemuImg.SkipWithout();
        }

        Skip.If(kind == "block-uring" && !Cnvm.Linux.IoUring.IsAvailable(), "the kernel gives no io_uring");
        using PciGuest guest = new(Make(kind), _memory);
        using Socket? server = kind == "vsock" ? _host.Listen(VsockPort) : null;
        SeededRuns.Repeat(Seeds, seed => Attack(guest, new Random(seed), server));
        Works(guest, kind);
    }

    private static void Noise(Random random, DriverQueue queue)
    {
        for (int i = 0; i < queue.Size; i++)
        {
            // Mostly sound, so that requests get far into the device.
            ulong address = random.Next(50) == 0 ? (ulong)random.NextInt64() : 0x10_0000 + (ulong)random.Next(0x20_0000);
            uint length = random.Next(4) switch { 0 => 16, 1 => (uint)random.Next(3), 2 => 512u * (uint)random.Next(20), _ => (uint)random.Next(5000) };
            ushort flags = (ushort)(random.Next(30) == 0 ? random.Next(8) : random.Next(2) | (i > queue.Size / 2 ? 2 : 0));
            ushort next = (ushort)(random.Next(30) == 0 ? random.Next(queue.Size) : Math.Min(i + 1, queue.Size - 1));
            queue.SetDescriptor(queue.DescriptorTable, i, address, length, flags, next);
        }

        for (int i = random.Next(1, 10); i > 0; i--)
        {
            queue.OfferRaw((ushort)(random.Next(100) == 0 ? random.Next(65536) : random.Next(queue.Size)));
        }
    }

    /// <summary>Plausible headers of packets, so that connections are made, fed, shut down and broken.</summary>
    private static void Packets(Random random, Span<byte> area)
    {
        for (int at = 0; at + VsockPacket.HeaderBytes <= area.Length; at += 16)
        {
            if (random.Next(8) == 0)
            {
                new VsockPacket((uint)random.Next(4), random.Next(5) == 0 ? (uint)random.Next() : VsockPort, (ushort)random.Next(9))
                {
                    SourceCid = random.Next(30) == 0 ? (ulong)random.NextInt64() : 3,
                    DestinationCid = random.Next(30) == 0 ? (ulong)random.NextInt64() : 2,
                    Type = (ushort)(random.Next(30) == 0 ? random.Next() : 1),
                    Length = random.Next(4) == 0 ? (uint)random.Next() : (uint)random.Next(600),
                    Flags = (uint)random.Next(5),
                    BufferSize = random.Next(3) == 0 ? (uint)random.Next() : 4096,
                    Forwarded = random.Next(3) == 0 ? (uint)random.Next() : 0,
                }.ToArray().CopyTo(area[at..]);
            }
        }
    }

    /// <summary>What programs of the host do meanwhile: come, send, read and go.</summary>
    private void Disturb(Random random, Socket server)
    {
        while (server.Poll(0, SelectMode.SelectRead))
        {
            _peers.Add(server.Accept());
        }

        if (random.Next(4) == 0)
        {
            _peers.Add(_host.Connect(random.Next(4) == 0 ? "CONNECT" : $"CONNECT {random.Next(4)}\n"));
        }

        for (int i = 0; i < 3 && _peers.Count > 0; i++)
        {
            int index = random.Next(_peers.Count);
            Socket peer = _peers[index];
            peer.Blocking = false;
            try
            {
                _ = random.Next(4) switch
                {
                    0 => peer.Send(new byte[random.Next(1, 9000)]),
                    1 => peer.Receive(new byte[100_000]),
                    _ => 0,
                };
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.ConnectionReset or SocketError.Shutdown)
            {
                // The connection waits, or the guest has ended it.
            }

            if (_peers.Count > 40 || random.Next(8) == 0)
            {
                _peers.RemoveAt(index);
                peer.Dispose();
            }
        }
    }

    private void Attack(PciGuest guest, Random random, Socket? server)
    {
        int count = guest.Function.Device.QueueSizes.Count;
        DriverQueue[] queues = [.. Enumerable.Range(0, count).Select(i => new DriverQueue(_memory, 0x1000 + (0x1_0000UL * (ulong)i), Math.Min((ushort)32, guest.Function.Device.QueueSizes[i]), true))];
        guest.Start(random.Next(3) == 0 ? 0 : ~0UL, queues);

        // Plausible headers where the noise points, and plain noise.
        Span<byte> area = _memory[0x10_0000, 0x20_0000];
        random.NextBytes(area);
        for (int at = 0; at + 16 <= area.Length; at += 16)
        {
            if (random.Next(3) == 0)
            {
                area.Slice(at, 16).Clear();
                area[at] = (byte)random.Next(14);
                area[at + 8] = (byte)random.Next(256);
            }
        }

        if (server is not null)
        {
            Packets(random, area);
        }

        for (int step = 0; step < 20 && (guest.Status & 64) == 0; step++)
        {
            int queue = random.Next(count);
            Noise(random, queues[queue]);
            queues[queue].Publish();
            guest.Notify(queue);
            if (server is not null)
            {
                Disturb(random, server);
            }

            if (random.Next(10) == 0)
            {
                guest.Function.Pause();
                string state = StateText.Of(guest.Function.Save());
                Assert.Equal(state, StateText.Of(guest.Function.Save()));
                guest.Function.Resume();
            }
        }

        guest.Status = 0;
        Assert.Equal(0, guest.Status);
    }

    private void Works(PciGuest guest, string kind)
    {
        switch (kind)
        {
            case "block-uring" or "block-threads" or "block-limited" or "block-qcow2":
                BlockDriver block = new(_memory, guest);
                Assert.Equal(0, block.Write(3, new byte[512]));
                Assert.Equal(0, block.Read(3, 512));
                Assert.All(block.Bytes(512), b => Assert.Equal(0, b));
                break;
            case "net":
                NetDriver net = new(_memory, guest, pairs: 2);
                Assert.True(net.Control(0, 0, 1));
                net.Send(new byte[60]);
                break;
            case "fs":
                FsDriver fs = new(_memory, guest, requestQueues: 2);
                fs.Begin();
                fs.Create("works\0"u8);
                break;
            case "vsock":
                VsockDriver vsock = new(_memory, guest);
                vsock.Offer();
                vsock.Send(new VsockPacket(5000, 9999, VsockPacket.Request));
                vsock.Await(VsockPacket.Reset);
                break;
            default:
                // The last queue takes output (console) or gives entropy: either way the buffer comes back.
                int count = guest.Function.Device.QueueSizes.Count;
                DriverQueue[] queues = [.. Enumerable.Range(0, count).Select(i => new DriverQueue(_memory, 0x1000 + (0x1_0000UL * (ulong)i), Math.Min((ushort)32, guest.Function.Device.QueueSizes[i]), true))];
                guest.Start(~0UL, queues);
                queues[^1].Add(kind == "console" ? Piece.In(0x10_0000, 10) : Piece.Out(0x10_0000, 10));
                guest.Run(count - 1, queues[^1]);
                break;
        }
    }

    /// <summary>So tight that queues wait again and again, and so quick that nobody waits long.</summary>
    private static RateLimiter Limiter() => new(new TokenBucketOptions(100_000, 0, 1), new TokenBucketOptions(3, 0, 1));

    private VirtioDevice Make(string kind) => kind switch
    {
        "block-uring" or "block-threads" or "block-limited" => new BlockDevice(
            new BlockOptions { Id = "_disk0", RateLimiter = kind == "block-limited" ? Limiter() : null },
            RawImage.Open(new RawImageOptions { Path = _disk.Path, DisableIoUring = kind != "block-uring" }),
            NullLogger.Instance),
        "block-qcow2" => new BlockDevice(new BlockOptions { Id = "_disk0" }, Qcow2(), NullLogger.Instance),
        "net" => new NetDevice(
            new NetOptions { Id = "_net0", ReceiveLimiter = Limiter(), TransmitLimiter = Limiter() }, new Sink(), NullLogger.Instance),
        "vsock" => new VsockDevice(new VsockOptions { Id = "_vsock0", Cid = 3, SocketPath = _host.Path }, NullLogger.Instance),
        "balloon" => new BalloonDevice(
            new BalloonOptions { Id = "__balloon", FreePageReporting = true, Statistics = true }, NullLogger.Instance),
        "watchdog" => new WatchdogDevice("__watchdog", () => { }, NullLogger.Instance, TimeSpan.FromMilliseconds(1)),
        "fs" => new FsDevice(new FsOptions { Id = "_fs0", Tag = "t", Path = _folder, RequestQueues = 2, QueueSize = 64 }, NullLogger.Instance),
        "rng" => new RngDevice("__rng", "/dev/urandom", NullLogger.Instance),
        _ => new ConsoleDevice("__console", new NullSerialBackend(), NullLogger.Instance),
    };

    private LayerImage Qcow2()
    {
        QemuImg.Run("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", _images["disk"], "1M");
        return _images.Open("disk");
    }

    /// <summary>Takes every frame, and always has one to give, now and then one of the longest.</summary>
    private sealed unsafe class Sink : INetBackend
    {
        private const int UsualBytes = 1500;
        private const int LongBytes = 65_000;
        private const int LongEvery = 50;

        private readonly Cnvm.Linux.EventFd _ready = new();
        private int _frames;

        public Sink() => _ready.Signal();

        public int QueueCount => 2;

        public Cnvm.Linux.TapOffloads SupportedOffloads => Cnvm.Linux.TapOffloads.Checksum;

        public bool MayDisconnect => false;

        public bool IsConnected => true;

        public ulong Reconnects => 0;

        public Action? ConnectionChanged { get; set; }

        public IReadOnlyList<int> HostDescriptors => [];

        public uint RoomEvents => Cnvm.Linux.Libc.EPOLLOUT;

        public int GetReadFd(int queue) => _ready.Fd;

        public int GetRoomFd(int queue) => _ready.Fd;

        public nint Read(int queue, Cnvm.Linux.IoVec* vectors, int count)
        {
            nint total = 0;
            int bytes = Interlocked.Increment(ref _frames) % LongEvery == 0 ? LongBytes : UsualBytes;
            for (int i = 0; i < count && total < bytes; i++)
            {
                int part = Math.Min((int)vectors[i].Length, bytes - (int)total);
                new Span<byte>((void*)vectors[i].Base, part).Fill(0x11);
                total += part;
            }

            return total;
        }

        public nint Write(int queue, Cnvm.Linux.IoVec* vectors, int count)
        {
            int sum = 0;
            for (int i = 0; i < count; i++)
            {
                sum += new ReadOnlySpan<byte>((void*)vectors[i].Base, (int)vectors[i].Length).Count((byte)0x11);
            }

            return sum + 1;
        }

        public bool TrySetOffloads(Cnvm.Linux.TapOffloads offloads) => true;

        public void SetActive(int queue, bool active)
        {
        }

        public void Dispose() => _ready.Dispose();
    }
}
