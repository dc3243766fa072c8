using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Qcow2;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Hosts that die in the middle, and files that fail: what is on the disk stays an image, and has what was flushed.</summary>
[Collection(ImageTests.Name)]
public sealed class CrashTests : IDisposable
{
    private const int Bytes = 1024 * 1024;
    private const int Cuts = 12;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData("compat=1.1,cluster_size=512", 1)]
    [InlineData("compat=1.1,cluster_size=4k", 2)]
    [InlineData("compat=0.10,cluster_size=1k", 3)]
    [InlineData("compat=1.1,cluster_size=512,refcount_bits=64", 4)]
    public void A_host_that_dies_leaves_an_image_with_what_was_flushed(string options, int seed)
    {
        QemuImg.SkipWithout();
        MemoryFile file = Make(options, out byte[] last);
        Random random = new(seed);
        List<(int Writes, byte[] Content)> flushes = [(0, (byte[])last.Clone())];
        List<(int Writes, long First, long End)> changes = [];
        using (ImageDriver driver = new(Open(file), last))
        {
            for (int step = 0; step < 300; step++)
            {
                byte[] before = (byte[])driver.Content.Clone();
                int from = file.Writes;
                driver.Step(random, most: 100);
                int first = before.AsSpan().CommonPrefixLength(driver.Content);
                if (first < before.Length)
                {
                    changes.Add((from, first / 512 * 512, ImageDriver.LastDifference(before, driver.Content)));
                }

                if (step % 20 == 0)
                {
                    Assert.Equal(0, driver.Flush());
                    flushes.Add((file.Writes, (byte[])driver.Content.Clone()));
                }
            }

            last = driver.Content;
        }

        Assert.True(file.Writes > 100, "there was nothing to lose");
        for (int i = 0; i < Cuts; i++)
        {
            int cut = random.Next(file.Writes + 1);
            File.WriteAllBytes(_folder["cut"], file.CutAfter(cut, random));
            QemuImg.Check(_folder["cut"], mayLeak: true, $"{options}: after {cut} of {file.Writes} writes");
            (int flushed, byte[] content) = flushes.Last(f => f.Writes <= cut);
            byte[] expected = (byte[])content.Clone();
            using ImageDriver after = _folder.Drive("cut", readOnly: true);
            byte[] found = new byte[Bytes];
            Assert.Equal(Bytes, after.Read(0, found));

            // What was written after the last flush may be there or not.
            foreach ((int _, long first, long end) in changes.Where(c => c.Writes >= flushed && c.Writes <= cut))
            {
                found.AsSpan((int)first, (int)(end - first)).Clear();
                expected.AsSpan((int)first, (int)(end - first)).Clear();
            }

            int same = found.AsSpan().CommonPrefixLength(expected);
            Assert.True(same == Bytes, $"{options}: byte {same} was flushed and is not there after {cut} of {file.Writes} writes");
        }

        File.WriteAllBytes(_folder["cut"], file.Content);
        QemuImg.Check(_folder["cut"], about: "closed properly");
        Assert.Equal(last, QemuImg.Read(_folder["cut"]));
    }

    [SkippableTheory]
    [InlineData(Errno.EIO)]
    [InlineData(Errno.ENOSPC)]
    public void A_file_that_fails_now_and_then_costs_requests_and_nothing_else(int error)
    {
        QemuImg.SkipWithout();
        MemoryFile file = Make("compat=1.1,cluster_size=512", out byte[] content);
        Random random = new(error);
        bool fails = false;
        int failed = 0;
        file.OnWrite = _ => fails && random.Next(5) == 0 ? -error : 0;
        file.OnSync = () => fails && random.Next(5) == 0 ? -error : 0;
        using (ImageDriver driver = new(Open(file), content))
        {
            for (int step = 0; step < 400; step++)
            {
                fails = step is > 50 and < 350;
                int first = random.Next(Bytes / 512 / 16) * 16;
                byte[] data = new byte[random.Next(1, 16) * 512];
                random.NextBytes(data);
                byte[] before = driver.Content.AsSpan(first * 512, data.Length).ToArray();
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
        File.WriteAllBytes(_folder["after"], file.Content);
        QemuImg.Check(_folder["after"], mayLeak: true);
        Assert.Equal(content, QemuImg.Read(_folder["after"]));
    }

    private static LayerImage Open(MemoryFile file)
    {
        Qcow2Layer layer = new(file, null, Qcow2Layer.ReadHeader(file), null, new LayerOptions(), NullLogger.Instance);
        return new LayerImage(layer, new DiskImageOptions { File = new RawImageOptions { Path = file.Path } });
    }

    private MemoryFile Make(string options, out byte[] content)
    {
        content = _folder.MakeRaw("raw", Bytes, seed: 8);
        QemuImg.Run("convert", "-c", "-O", "qcow2", "-o", options, _folder["raw"], _folder["disk"]);
        if (!options.Contains("0.10", StringComparison.Ordinal))
        {
            QemuImg.Run("snapshot", "-c", "s1", _folder["disk"]);
        }

        return new MemoryFile(File.ReadAllBytes(_folder["disk"]));
    }
}
