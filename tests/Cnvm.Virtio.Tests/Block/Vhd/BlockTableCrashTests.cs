using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Vhd;
using Cnvm.Virtio.Tests.Block.Qcow2;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using MemoryFile = Cnvm.Virtio.Tests.Block.Qcow2.MemoryFile;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>Hosts that die in the middle, and files that fail: what is on the disk stays an image, and has what was flushed.</summary>
[Collection(ImageTests.Name)]
public sealed class BlockTableCrashTests : IDisposable
{
    private const int Cuts = 16;
    private const int EarlyFlushes = 12;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M", 1)]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M", 2)]
    [InlineData("vhdx", "subformat=fixed,block_size=1M", 3)]
    [InlineData("vpc", "subformat=dynamic,force_size=on", 4)]
    [InlineData("vpc", "subformat=dynamic,force_size=on", 5)]
    public void A_host_that_dies_leaves_an_image_with_what_was_flushed(string format, string options, int seed)
    {
        QemuImg.SkipWithout();
        MemoryFile file = Make(format, options, out byte[] last);
        Random random = new(seed);
        List<(int Writes, byte[] Content)> flushes = [(0, (byte[])last.Clone())];
        List<(int Writes, long First, long End)> changes = [];
        using (ImageDriver driver = new(Open(format, file), last))
        {
            for (int step = 0; step < 120; step++)
            {
                byte[] before = (byte[])driver.Content.Clone();
                int from = file.Writes;
                driver.Step(random, most: 1000);
                int first = before.AsSpan().CommonPrefixLength(driver.Content);
                if (first < before.Length)
                {
                    changes.Add((from, first / 512 * 512, ImageDriver.LastDifference(before, driver.Content)));
                }

                if (step % 8 == 0)
                {
                    Assert.Equal(0, driver.Flush());
                    flushes.Add((file.Writes, (byte[])driver.Content.Clone()));
                }
            }

            last = driver.Content;
        }

        Assert.True(file.Writes > 60, "there was nothing to lose");
        for (int i = 0; i < Cuts; i++)
        {
            // Anywhere, and in the early flushes, with which blocks come to be.
            bool inFlush = i % 2 == 0;
            int cut = inFlush ? file.Flushes[random.Next(Math.Min(EarlyFlushes, file.Flushes.Count))] : random.Next(file.Writes + 1);
            File.WriteAllBytes(_folder["cut"], file.CutAfter(cut, random, inFlush));
            Check(format, $"{options}: after {cut} of {file.Writes} writes");
            (int flushed, byte[] content) = flushes.LastOrDefault(f => inFlush ? f.Writes < cut : f.Writes <= cut, flushes[0]);
            byte[] expected = (byte[])content.Clone();
            byte[] found = new byte[last.Length];
            using (ImageDriver after = _folder.DriveAs(BlockTableInterchangeTests.TypeOf(format), "cut", readOnly: true))
            {
                Assert.Equal(found.Length, after.Read(0, found));
            }

            Assert.True(found.AsSpan().SequenceEqual(QemuImg.Read(_folder["cut"], format)), "QEMU reads something else");

            // The next user can go on with it.
            using (ImageDriver next = _folder.DriveAs(BlockTableInterchangeTests.TypeOf(format), "cut", (byte[])found.Clone()))
            {
                for (int step = 0; step < 10; step++)
                {
                    next.Step(random, most: 1000);
                }

                next.CheckContent();
            }

            Check(format, $"{options}: gone on after {cut} of {file.Writes} writes");

            // What was written after the last flush may be there or not.
            foreach ((int _, long first, long end) in changes.Where(c => c.Writes >= flushed && c.Writes <= cut))
            {
                found.AsSpan((int)first, (int)(end - first)).Clear();
                expected.AsSpan((int)first, (int)(end - first)).Clear();
            }

            int same = found.AsSpan().CommonPrefixLength(expected);
            Assert.True(same == last.Length, $"{options}: byte {same} was flushed and is not there after {cut} of {file.Writes} writes");
        }

        File.WriteAllBytes(_folder["cut"], file.Content);
        Check(format, "closed properly");
        Assert.True(last.AsSpan().SequenceEqual(QemuImg.Read(_folder["cut"], format)));
    }

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M", Errno.EIO)]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M", Errno.ENOSPC)]
    [InlineData("vpc", "subformat=dynamic,force_size=on", Errno.EIO)]
    [InlineData("vpc", "subformat=dynamic,force_size=on", Errno.ENOSPC)]
    public void A_file_that_fails_now_and_then_costs_requests_and_nothing_else(string format, string options, int error)
    {
        QemuImg.SkipWithout();
        MemoryFile file = Make(format, options, out byte[] content);
        Random random = new(error);
        bool fails = false;
        int failed = 0;
        file.OnWrite = _ => fails && random.Next(3) == 0 ? -error : 0;
        file.OnSync = () => fails && random.Next(5) == 0 ? -error : 0;
        using (ImageDriver driver = new(Open(format, file), content))
        {
            for (int step = 0; step < 300; step++)
            {
                fails = step < 250;
                int first = random.Next(content.Length / 512 / 16) * 16;
                byte[] data = new byte[random.Next(1, 16) * 512];
                random.NextBytes(data);
                int result = step % 7 == 0 ? driver.Flush()
                    : step % 5 == 0 ? driver.Zero(BlockOperation.WriteZeroesUnmap, first * 512L, data.Length)
                    : driver.Write(first * 512L, data);
                Assert.True(result >= 0 || result == -error, $"{result}");
                if (result < 0)
                {
                    failed++;

                    // Any part of a request that failed may have been done.
                    byte[] now = new byte[data.Length];
                    Assert.Equal(now.Length, driver.Read(first * 512L, now));
                    now.CopyTo(driver.Content, first * 512);
                }
            }

            Assert.Equal(0, driver.Flush());
            driver.CheckContent();
            content = driver.Content;
        }

        Assert.True(failed > 10, "nothing failed");
        File.WriteAllBytes(_folder["cut"], file.Content);
        Check(format, options);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["cut"], format)));
    }

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M")]
    [InlineData("vpc", "subformat=dynamic,force_size=on")]
    public void Queues_that_write_side_by_side_keep_out_of_each_others_way(string format, string options)
    {
        QemuImg.SkipWithout();
        const int Queues = 4;
        QemuImg.Run("create", "-f", format, "-o", options, _folder["cut"], "16M");
        byte[] content = new byte[16 << 20];
        using (IBlockImage image = _folder.OpenAs(BlockTableInterchangeTests.TypeOf(format), "cut"))
        {
            Parallel.For(0, Queues, new ParallelOptions { MaxDegreeOfParallelism = Queues }, i => QueueTests.Hammer(image, content, i));
            byte[] all = new byte[content.Length];
            image.Read(0, all);
            Assert.True(content.AsSpan().SequenceEqual(all));
        }

        Check(format, options);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["cut"], format)));
    }

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M")]
    [InlineData("vpc", "subformat=dynamic,force_size=on")]
    public void What_is_done_is_in_the_file_where_the_guest_outlives_the_process(string format, string options)
    {
        QemuImg.SkipWithout();
        byte[] data = [.. Enumerable.Repeat((byte)7, 4096)];
        foreach (bool outlives in new[] { true, false })
        {
            QemuImg.Run("create", "-f", format, "-o", options, _folder["disk"], "8M");
            using TestMemory memory = new();
            IBlockImage image = _folder.OpenAs(BlockTableInterchangeTests.TypeOf(format), "disk");
            using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0", OutlivesProcess = outlives }, image, NullLogger.Instance), memory);
            BlockDriver driver = new(memory, guest);
            for (int round = 0; round < 3; round++)
            {
                Assert.Equal(0, driver.Write((ulong)round * 5000, data));
                File.Copy(_folder["disk"], _folder["cut"], overwrite: true);
                Assert.Equal(outlives, data.AsSpan().SequenceEqual(QemuImg.Read(_folder["cut"], format).AsSpan(round * 5000 * 512, data.Length)));
                Assert.Equal(!outlives, image.HasUnwrittenTables);
            }
        }
    }

    internal static LayerImage Open(string format, IImageFile file, bool isReadOnly = false)
    {
        BlockTableLayer layer = new(
            file, null, format == "vhdx" ? () => VhdxTable.Load(file, isReadOnly) : () => VhdTable.Load(file),
            new LayerOptions { IsReadOnly = isReadOnly }, NullLogger.Instance);
        return new LayerImage(
            layer, new DiskImageOptions { File = new RawImageOptions { Path = file.Path, IsReadOnly = isReadOnly } }, layer.SectorBytes, layer.PhysicalSectorBytes);
    }

    private void Check(string format, string about)
    {
        if (format == "vhdx")
        {
            QemuImg.Check(_folder["cut"], about: about, format: format);
        }
    }

    /// <summary>An image with some blocks, and room for more.</summary>
    private MemoryFile Make(string format, string options, out byte[] content)
    {
        QemuImg.Run("create", "-f", format, "-o", options, _folder["disk"], "12M");
        QemuImg.IoAs(format, _folder["disk"], "write -P 7 3M 100k", "write -P 8 11M 512");
        content = QemuImg.Read(_folder["disk"], format);
        return new MemoryFile(File.ReadAllBytes(_folder["disk"]));
    }
}
