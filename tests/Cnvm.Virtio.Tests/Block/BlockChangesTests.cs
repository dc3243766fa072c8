using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block;

/// <summary>A disk that marks what its guest changes, and is read beside its queues.</summary>
public sealed class BlockChangesTests : IDisposable
{
    private const int DiskBytes = 4 * 1024 * 1024;
    private const ulong Block = DirtyBlocks.BlockBytes;
    private readonly TestMemory _memory = new();
    private readonly ScratchDisk _disk = new(DiskBytes);

    public void Dispose()
    {
        _memory.Dispose();
        _disk.Dispose();
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Writes_discards_and_zeroes_are_marked_when_they_are_done_and_reads_are_not(bool uring)
    {
        Skip.If(uring && !Cnvm.Linux.IoUring.IsAvailable(), "the kernel gives no io_uring");
        RawImage image = RawImage.Open(new RawImageOptions { Path = _disk.Path, DisableIoUring = !uring });
        BlockDevice device = new(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance);
        using var transport = new PciGuest(device, _memory);
        var driver = new BlockDriver(_memory, transport);
        Assert.Equal(0, driver.Write(0, new byte[512]));
        DirtyBlocks changes = device.TrackChanges();
        Assert.Equal(0, driver.Read(0, 4096));
        Assert.Equal(0, driver.Flush());
        Assert.Equal(0ul, changes.MarkedBytes);

        // Sectors of 512 bytes, 128 a block; the first write goes over an edge.
        Assert.Equal(0, driver.Write(127, new byte[1024]));
        Assert.Equal(0, driver.Range(BlockSpec.DiscardRequest, 10 * 128, 256, 0));
        Assert.Equal(0, driver.Range(BlockSpec.WriteZeroesRequest, (20 * 128) + 1, 1, 0));
        Assert.Equal(0, driver.Range(BlockSpec.WriteZeroesRequest, 30 * 128, 128, BlockSpec.RangeUnmap));
        Assert.Equal([(0ul, 2ul), (10ul, 2ul), (20ul, 1ul), (30ul, 1ul)], Take(changes));

        // What is behind the end is refused and changes nothing.
        Assert.Equal(1, driver.Write(DiskBytes / 512, new byte[512]));
        Assert.Equal(0ul, changes.MarkedBytes);
        device.StopTrackingChanges();
        Assert.Equal(0, driver.Write(0, new byte[512]));
        Assert.Equal(0ul, changes.MarkedBytes);
    }

    [Fact]
    public void An_image_is_read_beside_its_queues_and_says_where_it_has_data()
    {
        using RawImage image = RawImage.Open(new RawImageOptions { Path = _disk.Path });
        byte[] part = new byte[1536];
        image.Read(512, part);
        Assert.Equal(_disk.Content[512..2048], part);
        Assert.Throws<BlockImageException>(() => image.Read(DiskBytes - 512, new byte[1024]));
        Assert.True(image.TryFindData(0, DiskBytes, out ulong start, out ulong length));
        Assert.Equal((0ul, (ulong)DiskBytes), (start, length));
        using (var file = new Cnvm.Linux.DiskFile(_disk.Path, readOnly: false, direct: false))
        {
            Assert.Equal(0, file.Allocate(Cnvm.Linux.DiskFile.PunchHole, 1 << 20, 1 << 20));
        }

        Assert.True(image.TryFindData(0, DiskBytes, out start, out length));
        Assert.Equal((0ul, 1ul << 20), (start, length));
        Assert.False(image.TryFindData(1 << 20, 2 << 20, out _, out _));
        Assert.True(image.TryFindData(1 << 20, DiskBytes, out start, out length));
        Assert.Equal((2ul << 20, 2ul << 20), (start, length));
    }

    private static List<(ulong Start, ulong Count)> Take(DirtyBlocks changes)
    {
        List<(ulong Start, ulong Count)> runs = [];
        for (ulong at = 0; changes.TryTake(at, ulong.MaxValue, out ulong start, out ulong length); at = start + length)
        {
            runs.Add((start / Block, length / Block));
        }

        return runs;
    }
}
