using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Qcow2;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Backing files, formats, locks and sizes.</summary>
[Collection(ImageTests.Name)]
public sealed class ChainTests : IDisposable
{
    private const int Bytes = 1024 * 1024;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void Backing_files_are_used_when_allowed_only()
    {
        QemuImg.SkipWithout();
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 1);
        Create("disk", "-b", "raw", "-F", "raw");
        BlockImageException e = Assert.Throws<BlockImageException>(() => _folder.Open("disk", backing: false));
        Assert.Contains("builds on raw; backing_files=on", e.Message, StringComparison.Ordinal);
        using (ImageDriver driver = _folder.Drive("disk", content))
        {
            driver.CheckContent();

            // The backing file may be read by others too, and not written.
            Create("second", "-b", "raw", "-F", "raw");
            using ImageDriver other = _folder.Drive("second", (byte[])content.Clone());
            other.CheckContent();
            Refused("in use", () => RawImage.Open(new RawImageOptions { Path = _folder["raw"] }));
            Refused("in use", () => _folder.Open("disk"));
        }

        RawImage.Open(new RawImageOptions { Path = _folder["raw"] }).Dispose();
    }

    [SkippableFact]
    public void Chains_that_cannot_be_are_refused_by_name()
    {
        QemuImg.SkipWithout();
        _folder.MakeRaw("raw", Bytes, seed: 1);
        Create("disk", "-u", "-b", "disk", "-F", "qcow2", $"{Bytes}");
        Refused("loop", () => _folder.Open("disk", readOnly: true));
        Create("a", "-u", "-b", "b", "-F", "qcow2", $"{Bytes}");
        Create("b", "-u", "-b", "a", "-F", "qcow2", $"{Bytes}");
        Refused("loop", () => _folder.Open("a", readOnly: true));
        Create("disk", "-u", "-b", "missing", "-F", "raw", $"{Bytes}");
        Refused("no such file", () => _folder.Open("disk"));
        Create("disk", "-u", "-b", "nbd://host/x", "-F", "raw", $"{Bytes}");
        Refused("protocols", () => _folder.Open("disk"));
        Create("disk", "-u", "-b", "raw", "-F", "qcow2", $"{Bytes}");
        Refused("is a raw image", () => _folder.Open("disk"));
        Create("disk", "-u", "-b", "raw", "-F", "vdi", $"{Bytes}");
        Refused("format that is not supported", () => _folder.Open("disk"));

        // An image whose format nobody gave may be what it looks like, but not lead further.
        Create("middle", "-b", "raw", "-F", "raw");
        byte[] image = MakeWithoutFormat("middle");
        File.WriteAllBytes(_folder["disk"], image);
        Refused("backing_files=on", () => _folder.Open("disk"));
        File.WriteAllBytes(_folder["disk"], MakeWithoutFormat("raw"));
        _folder.Open("disk").Dispose();

        Create("0", "-b", "raw", "-F", "raw");
        for (int i = 1; i <= ImageChain.MaxImages; i++)
        {
            Create($"{i}", "-u", "-b", $"{i - 1}", "-F", "qcow2", $"{Bytes}");
        }

        Refused("limit", () => _folder.Open($"{ImageChain.MaxImages}"));
        _folder.Open($"{ImageChain.MaxImages - 2}").Dispose();

        byte[] MakeWithoutFormat(string backing)
        {
            // The extension with the format is the first behind the header; another type is ignored.
            Create("noformat", "-u", "-b", backing, "-F", "raw", $"{Bytes}");
            byte[] bytes = File.ReadAllBytes(_folder["noformat"]);
            int at = bytes.AsSpan(0, 4096).IndexOf((ReadOnlySpan<byte>)[0xe2, 0x79, 0x2a, 0xca]);
            bytes[at] = 0x12;
            return bytes;
        }
    }

    [SkippableFact]
    public void Formats_are_found_and_what_was_said_must_be_so()
    {
        QemuImg.SkipWithout();
        _folder.MakeRaw("raw", Bytes, seed: 1);
        foreach ((string format, ImageFormat found) in new[]
        {
            ("qcow2", ImageFormat.Qcow2), ("vhdx", ImageFormat.Vhdx), ("vmdk", ImageFormat.FlatVmdk), ("vpc", ImageFormat.FixedVhd), ("raw", ImageFormat.Raw),
        })
        {
            string[] more = format == "vpc" ? ["-o", "subformat=fixed,force_size=on"] : [];
            QemuImg.Run(["convert", "-O", format, .. more, _folder["raw"], _folder[format + ".img"]]);
            string path = _folder[format + ".img"];
            Assert.Equal(found, DiskImage.Detect(path));
            if (found != ImageFormat.FlatVmdk)
            {
                using IBlockImage image = Open(path, ImageFormat.Unknown, out bool wasDetected);
                Assert.Equal((found is ImageFormat.Raw or ImageFormat.FixedVhd, (ulong)Bytes), (wasDetected, image.Size));
            }
            else
            {
                Refused("not supported", () => Open(path, ImageFormat.Unknown, out _));
            }

            if (found != ImageFormat.Qcow2)
            {
                Refused("image_type says a qcow2 image", () => Open(path, ImageFormat.Qcow2, out _));
            }
        }

        // Whatever it looks like: what somebody calls raw is raw.
        using IBlockImage raw = Open(_folder["qcow2.img"], ImageFormat.Raw, out bool detected);
        Assert.False(detected);
        Assert.IsType<RawImage>(raw);

        static IBlockImage Open(string path, ImageFormat format, out bool wasDetected) => DiskImage.Open(
            new DiskImageOptions { File = new RawImageOptions { Path = path }, Format = format }, NullLogger.Instance, out wasDetected);
    }

    [SkippableTheory]
    [InlineData("compat=1.1,cluster_size=512", 200)]
    [InlineData("compat=1.1", 64)]
    [InlineData("compat=0.10,cluster_size=4k", 64)]
    public void A_disk_grows_with_its_content_and_what_is_new_is_zero(string options, int times)
    {
        QemuImg.SkipWithout();
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 1);
        bool isNew = options.Contains("1.1", StringComparison.Ordinal);
        QemuImg.Run(["create", "-f", "qcow2", "-o", options, "-b", "raw", "-F", "raw", _folder["disk"], isNew ? $"{Bytes / 2}" : $"{Bytes}"]);
        int old = isNew ? Bytes / 2 : Bytes;
        using (LayerImage image = _folder.Open("disk"))
        {
            Assert.Throws<BlockImageException>(() => image.Resize(513));
            Refused("larger, not smaller", () => image.Resize(512));
            Assert.Throws<BlockImageException>(() => image.Resize(1UL << 62));
            image.Resize((ulong)Bytes * (ulong)times);
            Array.Resize(ref content, Bytes * times);
            content.AsSpan(old).Clear();
            using ImageDriver driver = new(image, content);
            driver.CheckContent();
            Random random = new(1);
            for (int i = 0; i < 50; i++)
            {
                driver.Step(random, 100);
            }
        }

        QemuImg.Check(_folder["disk"]);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"])));
    }

    [SkippableFact]
    public void An_image_changes_hands_and_comes_back()
    {
        QemuImg.SkipWithout();
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 1);
        QemuImg.Run("convert", "-c", "-O", "qcow2", _folder["raw"], _folder["disk"]);
        using LayerImage source = _folder.Open("disk");
        using ImageDriver driver = new(source, content);
        driver.Write(4096, [.. Enumerable.Repeat((byte)7, 8192)]);
        source.Flush();
        CheckCopy();
        source.Unlock();
        using (ImageDriver target = _folder.Drive("disk", driver.Content))
        {
            Assert.Throws<BlockImageException>(source.Lock);
            target.CheckContent();
            target.Write(65536, [.. Enumerable.Repeat((byte)9, 100 * 1024)]);
        }

        source.Lock();
        driver.CheckContent();
        driver.Write(300 * 1024, [.. Enumerable.Repeat((byte)3, 100 * 1024)]);
        source.Flush();
        CheckCopy();
    }

    [SkippableFact]
    public void Data_goes_past_the_page_cache_when_asked()
    {
        QemuImg.SkipWithout();
        byte[] content = _folder.MakeRaw("raw", Bytes, seed: 1);
        QemuImg.Run("convert", "-O", "qcow2", "-o", "cluster_size=1k", _folder["raw"], _folder["small"]);
        Refused("direct=on needs", () => _folder.Open("small", direct: true));
        QemuImg.Run("convert", "-O", "qcow2", _folder["raw"], _folder["disk"]);
        LayerImage image;
        try
        {
            image = _folder.Open("disk", direct: true);
        }
        catch (BlockImageException e) when (e.Message.Contains("direct I/O", StringComparison.Ordinal))
        {
            Skip.If(true, "the file system of the test has no direct I/O");
            throw;
        }

        using TestMemory memory = new();
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(0, driver.Read((ulong)i * 128, 65536));
            Assert.Equal(content.AsSpan(i * 65536, 65536).ToArray(), driver.Bytes(65536));
        }

        Assert.Equal(0, driver.Write(8, new byte[8192]));
        Assert.Equal(0, driver.Read(0, 16384));
        content.AsSpan(4096, 8192).Clear();
        Assert.Equal(content.AsSpan(0, 16384).ToArray(), driver.Bytes(16384));
    }

    /// <summary>As the file is now: QEMU's programs do not open one that is locked.</summary>
    private void CheckCopy()
    {
        File.Copy(_folder["disk"], _folder["copy"], overwrite: true);
        QemuImg.Check(_folder["copy"]);
    }

    private static void Refused(string reason, Func<object> action)
    {
        BlockImageException e = Assert.Throws<BlockImageException>(action);
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    private static void Refused(string reason, Action action) => Refused(reason, () =>
    {
        action();
        return "";
    });

    private void Create(string name, params string[] arguments)
    {
        bool hasSize = char.IsAsciiDigit(arguments[^1][0]) && arguments.Length > 4;
        QemuImg.Run(["create", "-f", "qcow2", .. hasSize ? arguments[..^1] : arguments, _folder[name], .. hasSize ? arguments[^1..] : []]);
    }
}
