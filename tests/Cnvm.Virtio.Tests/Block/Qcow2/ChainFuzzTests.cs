using Cnvm.Fuzz;
using Cnvm.Virtio.Block;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Headers that name other images.</summary>
[Collection(ImageTests.Name)]
public sealed class ChainFuzzTests : IDisposable
{
    private const int HeaderBytes = 512;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void A_damaged_header_with_a_backing_file_ends_in_a_refusal_or_a_disk()
    {
        QemuImg.SkipWithout();
        _folder.MakeRaw("raw", 256 * 1024, seed: 2);
        QemuImg.Run("convert", "-O", "qcow2", "-o", "cluster_size=4k", _folder["raw"], _folder["base"]);
        QemuImg.Run("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-b", "base", "-F", "qcow2", _folder["good"], "256k");
        byte[] good = File.ReadAllBytes(_folder["good"]);
        byte[] below = File.ReadAllBytes(_folder["base"]);
        string[] names = ["disk", "./disk", "base", "raw", "../base", "/dev/zero", "/dev/stdin", "/proc/self/mem", "json:{}", "nbd://x", ""];
        int name = good.AsSpan().IndexOf("base"u8);
        int opened = 0;
        int runs = SeededRuns.Repeat(200, seed =>
        {
            Random random = new(seed);
            byte[] image = [.. good];
            for (int n = random.Next(3); n > 0; n--)
            {
                image[random.Next(HeaderBytes)] = (byte)random.Next(256);
            }

            if (random.Next(2) == 0)
            {
                byte[] other = System.Text.Encoding.UTF8.GetBytes(names[random.Next(names.Length)]);
                other.CopyTo(image, name);
                image[19] = (byte)other.Length;
            }

            File.WriteAllBytes(_folder["disk"], image);
            try
            {
                using LayerImage disk = _folder.Open("disk");
                opened++;
            }
            catch (BlockImageException)
            {
                // As it should be.
            }

            Assert.Equal(below, File.ReadAllBytes(_folder["base"]));
        });
        Assert.InRange(opened, 1, runs - 1);
    }
}
