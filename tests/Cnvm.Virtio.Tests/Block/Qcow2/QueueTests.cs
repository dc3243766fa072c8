using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Qcow2;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Several queues on one image, and devices on images.</summary>
[Collection(ImageTests.Name)]
public sealed class QueueTests : IDisposable
{
    private const int Bytes = 4 * 1024 * 1024;
    private const int Queues = 4;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=64k")]
    public void Queues_that_write_side_by_side_keep_out_of_each_others_way(string options)
    {
        QemuImg.SkipWithout();
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 1);
        QemuImg.Run("create", "-f", "qcow2", "-o", options, "-b", "raw", "-F", "raw", _folder["disk"]);
        using (LayerImage image = _folder.Open("disk"))
        {
            // Each has every fourth stretch of a few sectors: the same clusters, other bytes.
            Parallel.For(0, Queues, new ParallelOptions { MaxDegreeOfParallelism = Queues }, i => Hammer(image, content, i));
            using ImageDriver all = new(image, content);
            all.CheckContent();
        }

        QemuImg.Check(_folder["disk"]);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"])));
    }

    [SkippableFact]
    public void A_device_on_an_image_tells_its_clusters_and_does_all_requests()
    {
        QemuImg.SkipWithout();
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 1);
        QemuImg.Run("convert", "-O", "qcow2", _folder["raw"], _folder["disk"]);
        using (TestMemory memory = new())
        {
            LayerImage image = _folder.Open("disk");
            using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), memory);
            BlockDriver driver = new(memory, guest);

            // discard_sector_alignment (virtio 1.2 §5.2.4).
            Assert.Equal(128, BitConverter.ToInt32(guest.ReadConfiguration(44, 4)));
            Assert.Equal(0, driver.Read(0, 65536));
            Assert.Equal(content.AsSpan(0, 65536).ToArray(), driver.Bytes(65536));
            Assert.Equal(0, driver.Write(3, new byte[1024]));
            Assert.Equal(0, driver.Range(11, 256, 256, 0));
            Assert.Equal(0, driver.Range(13, 1000, 100, 0));
            Assert.Equal(0, driver.Range(13, 2000, 1000, 1));
            Assert.Equal(0, driver.Flush());
        }

        content.AsSpan(3 * 512, 1024).Clear();
        content.AsSpan(256 * 512, 256 * 512).Clear();
        content.AsSpan(1000 * 512, 100 * 512).Clear();
        content.AsSpan(2000 * 512, 1000 * 512).Clear();
        QemuImg.Check(_folder["disk"]);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"])));
    }

    /// <summary>The file as it is, while the process that writes it has its tables in memory: what is left of it after a kill.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_guest_that_outlives_the_process_was_told_is_in_the_file(bool outlives)
    {
        QemuImg.SkipWithout();
        byte[] data = new byte[200 * 1024];
        new Random(1).NextBytes(data);
        QemuImg.Run("create", "-f", "qcow2", _folder["disk"], "4M");
        using TestMemory memory = new();
        LayerImage image = _folder.Open("disk");
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0", OutlivesProcess = outlives }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(0, driver.Write((ulong)round * 1000, data));
            File.Copy(_folder["disk"], _folder["left"], overwrite: true);
            Assert.Equal(outlives, data.AsSpan().SequenceEqual(QemuImg.Read(_folder["left"]).AsSpan(round * 512_000, data.Length)));
        }

        if (outlives)
        {
            // An allocated cluster gives its table no news.
            Assert.False(image.HasUnwrittenTables);
            Assert.Equal(0, driver.Range(11, 0, 256, 0));
            File.Copy(_folder["disk"], _folder["left"], overwrite: true);
            Assert.True(QemuImg.Read(_folder["left"]).AsSpan(0, 65536).IndexOfAnyExcept((byte)0) < 0);
        }
    }

    [Fact]
    public void A_disk_that_only_looks_raw_keeps_its_first_sector()
    {
        using ScratchDisk disk = new(1024 * 1024);
        using TestMemory memory = new();
        DiskImageOptions options = new() { File = new RawImageOptions { Path = disk.Path } };
        IBlockImage image = DiskImage.Open(options, NullLogger.Instance, out bool wasDetected);
        using PciGuest guest = new(
            new BlockDevice(new BlockOptions { Id = "_disk0", IsFirstSectorKept = wasDetected }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);
        byte[] before = disk.Content[..512];
        Assert.Equal(1, driver.Write(0, new byte[1024]));
        Assert.Equal(1, driver.Range(11, 0, 8, 0));
        Assert.Equal(1, driver.Range(13, 0, 8, 0));
        Assert.Equal(0, driver.Write(1, new byte[1024]));
        Assert.Equal(0, driver.Range(13, 1, 8, 0));
        Assert.Equal(0, driver.Read(0, 512));
        Assert.Equal(before, disk.Content[..512]);
    }

    /// <summary>Writes and checks every fourth stretch of a disk.</summary>
    internal static void Hammer(IBlockImage image, byte[] content, int which)
    {
        const int Stretch = 3 * 512;
        using IBlockQueue queue = image.OpenQueue(1, "test");
        Random random = new(which);
        byte[] data = new byte[Stretch];
        for (int i = 0; i < 600; i++)
        {
            long at = (((long)random.Next((content.Length / Stretch / Queues) - 1) * Queues) + which) * Stretch;
            int kind = random.Next(10);
            if (kind < 7)
            {
                random.NextBytes(data);
                data.CopyTo(content, at);
            }
            else if (kind < 9)
            {
                content.AsSpan((int)at, Stretch).Clear();
            }

            Submit(queue, kind, at, data);
            if (kind == 9)
            {
                Submit(queue, 10, at, data);
                Assert.True(data.AsSpan().SequenceEqual(content.AsSpan((int)at, Stretch)), $"queue {which} reads something else at {at}");
            }
        }
    }

    private static unsafe void Submit(IBlockQueue queue, int kind, long at, byte[] data)
    {
        fixed (byte* p = data)
        {
            Cnvm.Linux.IoVec v = new() { Base = (nint)p, Length = (nuint)data.Length };
            BlockOperation operation = kind switch
            {
                < 7 => BlockOperation.Write,
                7 => BlockOperation.WriteZeroes,
                8 => BlockOperation.WriteZeroesUnmap,
                9 => BlockOperation.Flush,
                _ => BlockOperation.Read,
            };
            queue.Submit(operation, &v, 1, (ulong)at, (ulong)data.Length, 0);
        }

        Assert.True(queue.TryComplete(out _, out int result));
        Assert.True(result >= 0, $"{result}");
    }
}
