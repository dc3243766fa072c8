using System.Globalization;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Images go from QEMU's programs to here and back.</summary>
[Collection(ImageTests.Name)]
public sealed class InterchangeTests : IDisposable
{
    private const int Bytes = (6 * 1024 * 1024) + (5 * 512);
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> Formats()
    {
        TheoryData<string, string> formats = [];
        for (int bits = 9; bits <= 21; bits++)
        {
            int cluster = 1 << bits;
            formats.Add(string.Create(CultureInfo.InvariantCulture, $"compat=1.1,cluster_size={cluster}"), "plain");
        }

        formats.Add("compat=0.10,cluster_size=512", "plain");
        formats.Add("compat=0.10", "plain");
        formats.Add("compat=0.10", "compressed");
        formats.Add("compat=0.10", "backed");
        formats.Add("compat=1.1,cluster_size=512", "compressed");
        formats.Add("compat=1.1", "compressed");
        formats.Add("compat=1.1,cluster_size=2M", "compressed");
        formats.Add("compat=1.1,compression_type=zstd,cluster_size=4k", "compressed");
        formats.Add("compat=1.1,compression_type=zstd", "compressed");
        formats.Add("compat=1.1,cluster_size=512", "backed");
        formats.Add("compat=1.1", "backed");
        formats.Add("compat=1.1", "chain");
        formats.Add("compat=0.10,cluster_size=4k", "chain");
        formats.Add("compat=1.1,lazy_refcounts=on", "plain");
        formats.Add("compat=1.1,preallocation=metadata", "plain");
        formats.Add("compat=1.1,preallocation=falloc", "plain");
        formats.Add("compat=1.1,preallocation=full,cluster_size=4k", "plain");
        formats.Add("compat=1.1,cluster_size=4k", "snapshot");
        formats.Add("compat=0.10", "snapshot");
        foreach (int bits in new[] { 1, 2, 4, 8, 32, 64 })
        {
            formats.Add(string.Create(CultureInfo.InvariantCulture, $"compat=1.1,cluster_size=1k,refcount_bits={bits}"), "plain");
        }

        return formats;
    }

    [SkippableTheory]
    [MemberData(nameof(Formats))]
    public void What_qemu_wrote_is_read_and_what_is_written_here_is_read_by_qemu(string options, string kind)
    {
        QemuImg.SkipWithout();
        byte[] content = Make(options, kind, out string? snapshot);
        using (ImageDriver reader = _folder.Drive("disk", content, readOnly: true))
        {
            reader.CheckContent();
        }

        // Several lives of the image, so that tables are read again too.
        Random random = new(options.GetHashCode(StringComparison.Ordinal));
        for (int life = 0; life < 2; life++)
        {
            using (ImageDriver driver = _folder.Drive("disk", content))
            {
                for (int step = 0; step < 150; step++)
                {
                    driver.Step(random, most: 1500);
                }

                driver.CheckContent();
                content = driver.Content;
            }

            QemuImg.Check(_folder["disk"], about: $"{options} {kind}, life {life}");
            Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"])), "QEMU reads something else");
        }

        if (snapshot is not null)
        {
            QemuImg.Run("snapshot", "-a", "s1", _folder["disk"]);
            Assert.True(File.ReadAllBytes(snapshot).AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"])), "the snapshot has changed");
            QemuImg.Check(_folder["disk"]);
        }
    }

    [SkippableFact]
    public void Images_that_both_write_in_turn_stay_whole()
    {
        QemuImg.SkipWithout();
        byte[] content = Make("compat=1.1,cluster_size=4k", "chain", out _);
        Random random = new(5);
        for (int turn = 0; turn < 5; turn++)
        {
            using (ImageDriver driver = _folder.Drive("disk", content))
            {
                for (int step = 0; step < 100; step++)
                {
                    driver.Step(random, most: 200);
                }

                content = driver.Content;
            }

            int offset = random.Next(Bytes / 512 / 2) * 512;
            int length = random.Next(1, 300) * 512;
            QemuImg.Io(_folder["disk"], $"write -P {turn + 1} {offset} {length}", $"discard {Bytes / 2} 65536", "write -z -u 0 8192");
            content.AsSpan(offset, length).Fill((byte)(turn + 1));
            content.AsSpan(0, 8192).Clear();
            byte[] now = QemuImg.Read(_folder["disk"]);

            // What a discard left is QEMU's business.
            now.AsSpan(Bytes / 2, 65536).CopyTo(content.AsSpan(Bytes / 2));
            Assert.True(content.AsSpan().SequenceEqual(now));
        }

        QemuImg.Check(_folder["disk"]);
    }

    private byte[] Make(string options, string kind, out string? snapshot)
    {
        snapshot = null;
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 3);
        switch (kind)
        {
            case "plain":
                // Preallocation is for create; what is there comes by a write.
                QemuImg.Run("create", "-f", "qcow2", "-o", options, _folder["disk"], $"{Bytes}");
                QemuImg.Run("convert", "-n", "-O", "qcow2", _folder["raw"], _folder["disk"]);
                break;
            case "compressed":
                QemuImg.Run("convert", "-c", "-O", "qcow2", "-o", options, _folder["raw"], _folder["disk"]);
                break;
            case "snapshot":
                QemuImg.Run("convert", "-O", "qcow2", "-o", options, _folder["raw"], _folder["disk"]);
                QemuImg.Run("snapshot", "-c", "s1", _folder["disk"]);
                snapshot = _folder["raw"];
                break;
            case "backed":
                QemuImg.Run("create", "-f", "qcow2", "-o", options, "-b", "raw", "-F", "raw", _folder["disk"]);
                break;
            case "chain":
                // The lowest is smaller than the others; the middle one has data, zeroes and compressed clusters of its own.
                byte[] low = _folder.MakeRaw("low", Bytes / 2, seed: 4);
                QemuImg.Run("create", "-f", "qcow2", "-o", "cluster_size=8k", "-b", "low", "-F", "raw", _folder["middle"], $"{Bytes}");
                QemuImg.Io(_folder["middle"], "write -P 7 100k 200k", "write -z 400k 100k", $"write -P 9 {Bytes - 4096} 4096", "write -c -P 3 1M 8k");
                QemuImg.Run("create", "-f", "qcow2", "-o", options, "-b", _folder["middle"], "-F", "qcow2", _folder["disk"]);
                content = new byte[Bytes];
                low.CopyTo(content, 0);
                content.AsSpan(100 * 1024, 200 * 1024).Fill(7);
                content.AsSpan(400 * 1024, 100 * 1024).Clear();
                content.AsSpan(Bytes - 4096).Fill(9);
                content.AsSpan(1024 * 1024, 8192).Fill(3);
                break;
        }

        return content;
    }
}
