using System.Buffers.Binary;
using Cnvm.Fuzz;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Vhd;
using Cnvm.Virtio.Tests.Block.Qcow2;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>Footers of fixed VHD images, and what is taken for an image of which kind.</summary>
[Collection(ImageTests.Name)]
public sealed class FixedVhdDamageTests : IDisposable
{
    private const int Bytes = 64 * 1024;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void Damage_in_a_footer_ends_in_a_refusal_or_a_disk_inside_the_file()
    {
        QemuImg.SkipWithout();
        _folder.MakeRaw("raw", Bytes, seed: 2);
        QemuImg.Run("convert", "-O", "vpc", "-o", "subformat=fixed,force_size=on", _folder["raw"], _folder["good"]);
        byte[] good = File.ReadAllBytes(_folder["good"]);
        int opened = 0;
        int runs = SeededRuns.Repeat(300, seed =>
        {
            Random random = new(seed);
            byte[] image = [.. good];
            Span<byte> footer = image.AsSpan(image.Length - 512);
            for (int n = random.Next(1, 5); n > 0; n--)
            {
                footer[random.Next(random.Next(3) == 0 ? 512 : 96)] = (byte)random.Next(256);
            }

            if (random.Next(4) > 0)
            {
                BinaryPrimitives.WriteUInt32BigEndian(footer[VhdSpec.FooterChecksum..], VhdFooter.Checksum(footer, VhdSpec.FooterChecksum));
            }

            if (random.Next(6) == 0)
            {
                image = image[random.Next(image.Length)..];
            }

            File.WriteAllBytes(_folder["disk"], image);
            try
            {
                using IBlockImage disk = _folder.OpenAs(ImageFormat.FixedVhd, "disk");
                Assert.InRange(disk.Size, 512UL, (ulong)image.Length);
                opened++;
            }
            catch (BlockImageException e)
            {
                Assert.Contains(_folder["disk"], e.Message, StringComparison.Ordinal);
            }
        });
        Assert.InRange(opened, 1, runs - 1);
    }
}
