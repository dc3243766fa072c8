using System.Buffers.Binary;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Vhd;
using Cnvm.Virtio.Tests.Block.Qcow2;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>Fixed VHD images: interchange with QEMU, another size, footers that cannot be.</summary>
[Collection(ImageTests.Name)]
public sealed class FixedVhdTests : IDisposable
{
    private const int Bytes = (4 * 1024 * 1024) + (5 * 512);
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData("subformat=fixed,force_size=on", 1)]
    [InlineData("subformat=fixed", 2)]
    public void What_qemu_wrote_is_read_and_what_is_written_here_is_read_by_qemu(string options, int seed)
    {
        QemuImg.SkipWithout();
        byte[] content = Make(options);
        Random random = new(seed);
        for (int life = 0; life < 2; life++)
        {
            using (ImageDriver driver = _folder.DriveAs(ImageFormat.FixedVhd, "disk", content))
            {
                driver.CheckContent();
                for (int step = 0; step < 150; step++)
                {
                    driver.Step(random, most: 1500);
                }

                driver.CheckContent();
                content = driver.Content;
            }

            QemuImg.IoAs("vpc", _folder["disk"], $"write -P {life + 1} 64k 100k");
            content.AsSpan(65536, 102400).Fill((byte)(life + 1));
            Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"], "vpc")), "QEMU reads something else");
        }
    }

    [SkippableFact]
    public void A_disk_grows_and_its_old_footer_is_none_of_it()
    {
        QemuImg.SkipWithout();
        byte[] content = Make("subformat=fixed,force_size=on");
        using (IBlockImage image = _folder.OpenAs(ImageFormat.FixedVhd, "disk"))
        {
            Refused("larger, not smaller", () => image.Resize(512));
            Refused("multiple", () => image.Resize(513));
            Refused("multiple", () => image.Resize(VhdSpec.MaxSize + 512));
            image.Resize(Bytes);
            foreach (int bytes in new[] { Bytes + 512, Bytes + 1024, Bytes * 3 })
            {
                image.Resize((ulong)bytes);
                Assert.Equal((ulong)bytes, image.Size);
                Array.Resize(ref content, bytes);
                Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(Copy(), "vpc")), $"{bytes} bytes");
            }

            using ImageDriver driver = new(image, content);
            driver.CheckContent();
            driver.Write(content.Length - 1024, [.. Enumerable.Repeat((byte)7, 1024)]);
        }

        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"], "vpc")));
    }

    /// <summary>Cylinders, heads and sectors as QEMU has them for the same size: every way through the calculation.</summary>
    [SkippableTheory]
    [InlineData(1UL << 20)]
    [InlineData(100UL << 20)]
    [InlineData(500UL << 20)]
    [InlineData(1UL << 30)]
    [InlineData(100UL << 30)]
    [InlineData(130UL << 30)]
    public void The_geometry_is_what_others_make_of_the_size(ulong size)
    {
        QemuImg.SkipWithout();
        QemuImg.Run("create", "-f", "vpc", "-o", "subformat=fixed,force_size=on", _folder["small"], "64k");
        QemuImg.Run("create", "-f", "vpc", "-o", "subformat=fixed", _folder["large"], $"{size}");
        using (IBlockImage large = _folder.OpenAs(ImageFormat.FixedVhd, "large"))
        using (IBlockImage small = _folder.OpenAs(ImageFormat.FixedVhd, "small"))
        {
            small.Resize(large.Size);
        }

        Assert.Equal(Footer("large").AsSpan(VhdSpec.FooterGeometry, 4).ToArray(), Footer("small").AsSpan(VhdSpec.FooterGeometry, 4).ToArray());
    }

    [SkippableFact]
    public void A_guest_cannot_make_the_image_something_else()
    {
        QemuImg.SkipWithout();
        byte[] content = Make("subformat=fixed,force_size=on");
        QemuImg.Run("create", "-f", "qcow2", _folder["other"], "1M");
        byte[] qcow2 = File.ReadAllBytes(_folder["other"])[..512];
        using (ImageDriver driver = _folder.DriveAs(ImageFormat.FixedVhd, "disk", content))
        {
            Assert.True(driver.Write(0, qcow2) >= 0);
        }

        using (ImageDriver driver = _folder.DriveAs(ImageFormat.FixedVhd, "disk", content))
        {
            driver.CheckContent();

            // A dynamic one's beginning.
            QemuImg.Run("create", "-f", "vpc", _folder["dynamic"], "1G");
            Assert.True(driver.Write(0, File.ReadAllBytes(_folder["dynamic"])[..512]) >= 0);
        }

        Refused("begins like a dynamic one", () => _folder.OpenAs(ImageFormat.FixedVhd, "disk").Dispose());

        // Nobody said what it is: then its first sector decides, and is not the guest's.
        Make("subformat=fixed,force_size=on");
        foreach (ImageFormat format in new[] { ImageFormat.Unknown, ImageFormat.FixedVhd })
        {
            using IBlockImage image = DiskImage.Open(
                new DiskImageOptions { File = new RawImageOptions { Path = _folder["disk"] }, Format = format }, NullLogger.Instance, out bool wasDetected);
            Assert.Equal(format == ImageFormat.Unknown, wasDetected);
        }
    }

    /// <summary>Offset of a field, its bytes, its value, and what is said.</summary>
    [SkippableTheory]
    [InlineData(0, 4, 0UL, "is a raw image")]
    [InlineData(12, 4, 0x0002_0000UL, "version 2.0")]
    [InlineData(48, 8, 0UL, "0 bytes, which cannot be")]
    [InlineData(48, 8, 513UL, "513 bytes, which cannot be")]
    [InlineData(48, 8, ulong.MaxValue - 511, "which cannot be")]
    [InlineData(48, 8, 1UL << 40, "was not copied whole")]
    [InlineData(60, 4, 3UL, "no footer")]
    [InlineData(60, 4, 4UL, "a differencing disk")]
    [InlineData(60, 4, 5UL, "disk type 5")]
    [InlineData(64, 4, 0UL, "checksum is wrong")]
    public void A_footer_that_cannot_be_is_refused_by_name(int offset, int length, ulong value, string reason)
    {
        QemuImg.SkipWithout();
        Make("subformat=fixed,force_size=on");
        byte[] image = File.ReadAllBytes(_folder["disk"]);
        Span<byte> footer = image.AsSpan(image.Length - VhdSpec.FooterBytes);
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(number, value);
        number[(8 - length)..].CopyTo(footer[offset..]);
        if (offset != VhdSpec.FooterChecksum)
        {
            BinaryPrimitives.WriteUInt32BigEndian(footer[VhdSpec.FooterChecksum..], VhdFooter.Checksum(footer, VhdSpec.FooterChecksum));
        }

        File.WriteAllBytes(_folder["disk"], image);
        Refused(reason, () => _folder.OpenAs(ImageFormat.FixedVhd, "disk").Dispose());
        Assert.Equal(image, File.ReadAllBytes(_folder["disk"]));
    }

    [SkippableFact]
    public void A_footer_with_any_bit_flipped_and_a_file_cut_anywhere_are_refused()
    {
        QemuImg.SkipWithout();
        Make("subformat=fixed,force_size=on");
        byte[] image = File.ReadAllBytes(_folder["disk"]);
        Random random = new(1);
        for (int i = 0; i < 100; i++)
        {
            byte[] damaged = (byte[])image.Clone();
            damaged[^random.Next(1, VhdSpec.FooterBytes + 1)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_folder["disk"], damaged);
            Assert.Throws<BlockImageException>(() => _folder.OpenAs(ImageFormat.FixedVhd, "disk").Dispose());
            File.WriteAllBytes(_folder["disk"], image[..random.Next(image.Length)]);
            Assert.Throws<BlockImageException>(() => _folder.OpenAs(ImageFormat.FixedVhd, "disk").Dispose());
        }
    }

    [SkippableFact]
    public void An_image_changes_hands_and_comes_back()
    {
        QemuImg.SkipWithout();
        byte[] content = Make("subformat=fixed,force_size=on");
        using IBlockImage source = _folder.OpenAs(ImageFormat.FixedVhd, "disk");
        Refused("in use", () => _folder.OpenAs(ImageFormat.FixedVhd, "disk").Dispose());
        source.Flush();
        source.Unlock();
        using (ImageDriver target = _folder.DriveAs(ImageFormat.FixedVhd, "disk", content))
        {
            Assert.Throws<BlockImageException>(source.Lock);
            target.Write(65536, [.. Enumerable.Repeat((byte)9, 100 * 1024)]);
            content = target.Content;
        }

        source.Lock();
        byte[] read = new byte[content.Length];
        source.Read(0, read);
        Assert.Equal(content, read);
        source.Unlock();
        using (IBlockImage other = _folder.OpenAs(ImageFormat.FixedVhd, "disk"))
        {
            other.Resize(Bytes * 2);
        }

        Refused("another one than before", source.Lock);
        using (Microsoft.Win32.SafeHandles.SafeFileHandle copy = File.OpenHandle(_folder["copy"], FileMode.Create, FileAccess.Write))
        {
            source.CopyTo(copy);
        }

        Assert.Equal(File.ReadAllBytes(_folder["disk"]), File.ReadAllBytes(_folder["copy"]));
    }

    private static void Refused(string reason, Action action)
    {
        BlockImageException e = Assert.Throws<BlockImageException>(action);
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    /// <summary>As the file is now: QEMU's programs do not open one that is locked.</summary>
    private string Copy()
    {
        File.Copy(_folder["disk"], _folder["copy"], overwrite: true);
        return _folder["copy"];
    }

    private byte[] Footer(string name)
    {
        byte[] footer = new byte[VhdSpec.FooterBytes];
        using FileStream file = File.OpenRead(_folder[name]);
        file.Seek(-footer.Length, SeekOrigin.End);
        file.ReadExactly(footer);
        return footer;
    }

    private byte[] Make(string options)
    {
        _folder.MakeRaw("raw", Bytes, seed: 3);
        QemuImg.Run("convert", "-f", "raw", "-O", "vpc", "-o", options, _folder["raw"], _folder["disk"]);
        return QemuImg.Read(_folder["disk"], "vpc");
    }
}
