using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Vsock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Transport;

/// <summary>Steady state allocates nothing, on whatever thread. Runs alone, as it looks at the whole process.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationTests
{
    private const int Requests = 4000;
    private const int Rounds = 10;

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disk_request_allocates_nothing(bool uring)
    {
        Skip.If(uring && !Cnvm.Linux.IoUring.IsAvailable(), "the kernel gives no io_uring");
        using TestMemory memory = new();
        using ScratchDisk disk = new(1024 * 1024);
        RawImage image = RawImage.Open(new RawImageOptions { Path = disk.Path, DisableIoUring = !uring });
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);

        // Steady state begins when the tiered JIT is done with the path, which a busy test run delays.
        long others = long.MaxValue;
        for (int round = 0; round < Rounds && others >= Requests; round++)
        {
            others = Measure(driver);
        }

        Assert.True(others < Requests, $"{others} bytes for {Requests} requests");
    }

    [SkippableTheory]
    [InlineData("qcow2", ImageFormat.Qcow2)]
    [InlineData("vhdx", ImageFormat.Vhdx)]
    [InlineData("vpc", ImageFormat.FixedVhd)]
    public void A_request_to_an_image_with_tables_allocates_nothing(string name, ImageFormat format)
    {
        Block.Qcow2.QemuImg.SkipWithout();
        using TestMemory memory = new();
        using ScratchDisk raw = new(1024 * 1024);
        using ScratchDisk disk = new(512);
        Block.Qcow2.QemuImg.Run("convert", "-f", "raw", "-O", name, raw.Path, disk.Path);
        DiskImageOptions options = new() { File = new RawImageOptions { Path = disk.Path }, Format = format };
        IBlockImage image = DiskImage.Open(options, NullLogger.Instance, out _);
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);
        byte[] data = new byte[512];
        int i = 0;
        long others = long.MaxValue;
        for (int round = 0; round < Rounds && others >= Requests; round++)
        {
            others = Measure(() => Assert.Equal(0, i++ % 2 == 0 ? driver.Read((ulong)(i % 1000), 512) : driver.Write((ulong)(i % 1000), data)));
        }

        Assert.True(others < Requests, $"{others} bytes for {Requests} requests");
    }

    [Fact]
    public void A_packet_of_a_socket_allocates_nothing_either_way()
    {
        using TestMemory memory = new();
        using VsockHost host = new();
        using PciGuest guest = new(new VsockDevice(new VsockOptions { Id = "_vsock0", Cid = 3, SocketPath = host.Path }, NullLogger.Instance), memory);
        VsockDriver driver = new(memory, guest);
        driver.Offer();
        System.Net.Sockets.Socket client = host.Connect("CONNECT 7\n");
        VsockPacket reply = new(7, driver.Await(VsockPacket.Request).SourcePort, VsockPacket.Response);
        driver.Send(reply);
        VsockHost.ReadLine(client);
        byte[] packet = (reply with { Operation = VsockPacket.ReadWrite, BufferSize = uint.MaxValue, Payload = new byte[100] }).ToArray();
        long others = long.MaxValue;
        for (int round = 0; round < Rounds && others >= Requests; round++)
        {
            others = Measure(() =>
            {
                driver.Send(packet);
                VsockHost.Read(client, 100);
                client.Send(packet.AsSpan(0, 100));

                // Now and then the device gives credit.
                while (driver.Await().Operation != VsockPacket.ReadWrite)
                {
                }
            });
        }

        Assert.True(others < Requests, $"{others} bytes for {Requests} packets each way");
    }

    [Fact]
    public void A_frame_of_a_stream_socket_allocates_nothing_either_way()
    {
        using TestMemory memory = new();
        using StreamPeer peer = new();
        StreamBackend backend = StreamBackend.Connect("_net0", peer.Path, NullLogger.Instance);
        peer.Accept();
        using PciGuest guest = new(new NetDevice(new NetOptions { Id = "_net0" }, backend, NullLogger.Instance), memory);
        NetDriver driver = new(memory, guest);
        byte[] frame = new byte[100];
        byte[] packed = StreamPeer.Packed(frame);
        long others = long.MaxValue;
        for (int round = 0; round < Rounds && others >= Requests; round++)
        {
            others = Measure(() =>
            {
                driver.Send(frame);
                peer.Receive();
                driver.Offer(1);

                // In two pieces, so that the collecting is measured, too.
                peer.Send(packed.AsSpan(0, 30));
                peer.Send(packed.AsSpan(30));
                driver.Await();
            });
        }

        Assert.True(others < Requests, $"{others} bytes for {Requests} frames each way");
    }

    [Fact]
    public void Reading_writing_and_looking_up_in_a_shared_folder_allocate_nothing()
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-fs-").FullName;
        try
        {
            using TestMemory memory = new();
            using PciGuest guest = new(new FsDevice(new FsOptions { Id = "_fs0", Tag = "t", Path = folder, QueueSize = 64 }, NullLogger.Instance), memory);
            FsDriver driver = new(memory, guest);
            driver.Begin();
            (ulong node, ulong handle) = driver.Create("f\0"u8);
            byte[] data = new byte[4096];
            long others = long.MaxValue;
            for (int round = 0; round < Rounds && others >= Requests; round++)
            {
                others = Measure(() =>
                {
                    driver.Ask(FuseAbi.FUSE_WRITE, node, new fuse_write_in { fh = handle, size = 4096 }, data);
                    driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 4096 });
                    Assert.Equal(4112u, driver.Length);
                    driver.Ask(FuseAbi.FUSE_LOOKUP, FuseAbi.FUSE_ROOT_ID, (ushort)'f');
                    driver.Ask(FuseAbi.FUSE_GETATTR, node, default(fuse_getattr_in));
                });
            }

            Assert.True(others < Requests, $"{others} bytes for {Requests} rounds of requests");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static long Measure(BlockDriver driver)
    {
        int i = 0;
        return Measure(() => Assert.Equal(0, driver.Read((ulong)(i++ % 1000), 512)));
    }

    private static long Measure(Action request)
    {
        // What this thread allocates is the driver model's; the rest is the device's, on the I/O threads.
        long own = GC.GetAllocatedBytesForCurrentThread();
        long all = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < Requests; i++)
        {
            request();
        }

        return GC.GetTotalAllocatedBytes(precise: true) - all - (GC.GetAllocatedBytesForCurrentThread() - own);
    }
}
