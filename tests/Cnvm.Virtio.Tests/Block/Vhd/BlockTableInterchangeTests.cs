using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Block.Qcow2;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>VHDX and dynamic VHD images go from QEMU's programs to here and back.</summary>
[Collection(ImageTests.Name)]
public sealed class BlockTableInterchangeTests : IDisposable
{
    private const int Bytes = (6 * 1024 * 1024) + (5 * 512);
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> Formats => new()
    {
        { "vhdx", "subformat=dynamic,block_size=1M" },
        { "vhdx", "subformat=dynamic,block_size=2M,log_size=4M" },
        { "vhdx", "subformat=dynamic,block_size=1M,block_state_zero=off" },
        { "vhdx", "subformat=dynamic" },
        { "vhdx", "subformat=fixed,block_size=1M" },
        { "vhdx", "subformat=fixed" },
        { "vpc", "subformat=dynamic" },
        { "vpc", "subformat=dynamic,force_size=on" },
    };

    [SkippableTheory]
    [MemberData(nameof(Formats))]
    public void What_qemu_wrote_is_read_and_what_is_written_here_is_read_by_qemu(string format, string options)
    {
        QemuImg.SkipWithout();
        byte[] content = Make(format, options);
        ImageFormat type = TypeOf(format);
        using (ImageDriver reader = _folder.DriveAs(type, "disk", content, readOnly: true))
        {
            reader.CheckContent();
            Assert.True(reader.Write(0, new byte[512]) < 0);
        }

        // Several lives of the image, so that tables are read again too.
        Random random = new(options.GetHashCode(StringComparison.Ordinal));
        for (int life = 0; life < 3; life++)
        {
            using (ImageDriver driver = _folder.DriveAs(type, "disk", content))
            {
                for (int step = 0; step < 100; step++)
                {
                    driver.Step(random, most: 1500);
                }

                driver.CheckContent();
                content = driver.Content;
            }

            Check(format, $"{format} {options}, life {life}");
            Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"], format)), "QEMU reads something else");
            int offset = random.Next(Bytes / 512 / 2) * 512;
            int length = random.Next(1, 3000) * 512;
            QemuImg.IoAs(format, _folder["disk"], $"write -P {life + 1} {offset} {length}");
            content.AsSpan(offset, length).Fill((byte)(life + 1));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Formats))]
    public void An_empty_image_fills_with_what_is_written(string format, string options)
    {
        QemuImg.SkipWithout();
        QemuImg.Run("create", "-f", format, "-o", options, _folder["disk"], $"{Bytes}");
        byte[] content = QemuImg.Read(_folder["disk"], format);
        ImageFormat type = TypeOf(format);
        Random random = new(7);
        using (ImageDriver driver = _folder.DriveAs(type, "disk", content))
        {
            driver.CheckContent();
            for (int sector = (content.Length / 512) - 3; sector >= 0; sector -= 997)
            {
                byte[] data = new byte[1024];
                random.NextBytes(data);
                Assert.Equal(data.Length, driver.Write(sector * 512L, data));
            }

            driver.CheckContent();
            content = driver.Content;
        }

        Check(format, options);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"], format)));
    }

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M", 20)]
    [InlineData("vhdx", "subformat=dynamic,block_size=256M", 200)]
    [InlineData("vpc", "subformat=dynamic,force_size=on", 2000)]
    public void Blocks_are_found_in_all_of_a_large_disk(string format, string options, int gibibytes)
    {
        QemuImg.SkipWithout();
        QemuImg.Run("create", "-f", format, "-o", options, _folder["disk"], $"{gibibytes}G");
        List<long> places = [0, (4L << 30) - 4096, 4L << 30, (8L << 30) + 8192, (12L << 30) - 1024, 16L << 30, ((long)gibibytes << 30) - 65536];
        QemuImg.IoAs(format, _folder["disk"], [.. places.Select((at, i) => $"write -P {i + 1} {at} 4096")]);
        using (IBlockImage image = _folder.OpenAs(TypeOf(format), "disk"))
        using (ImageDriver driver = new(image, []))
        {
            byte[] data = new byte[8192];
            for (int i = 0; i < places.Count; i++)
            {
                image.Read((ulong)places[i], data.AsSpan(0, 4096));
                Assert.Equal(Enumerable.Repeat((byte)(i + 1), 4096), data[..4096]);
                Assert.True(driver.WriteBlind(places[i] + 8192, [.. Enumerable.Repeat((byte)(i + 101), 4096)]) > 0);
            }
        }

        Check(format, options);
        QemuImg.IoAs(format, _folder["disk"], [.. places.Select((at, i) => $"read -P {i + 101} {at + 8192} 4096"), .. places.Select((at, i) => $"read -P {i + 1} {at} 4096")]);
        Assert.ThrowsAny<Exception>(() => QemuImg.IoAs(format, _folder["disk"], "read -P 77 0 4096"));
    }

    [SkippableTheory]
    [MemberData(nameof(Formats))]
    public void Space_that_the_guest_gives_up_is_given_back(string format, string options)
    {
        QemuImg.SkipWithout();
        byte[] content = Make(format, options);
        Array.Fill(content, (byte)5);
        using (ImageDriver driver = _folder.DriveAs(TypeOf(format), "disk", content))
        {
            Assert.Equal(content.Length, driver.Write(0, content.ToArray()));
            Assert.Equal(0, driver.Flush());
            long full = Allocated();
            Assert.Equal(0, driver.Zero(BlockOperation.Discard, 65536, 4 * 1024 * 1024));
            Assert.InRange(Allocated(), 0, full - (3 * 1024 * 1024));
            driver.CheckContent();
            content = driver.Content;
        }

        Check(format, options);
        Assert.True(content.AsSpan().SequenceEqual(QemuImg.Read(_folder["disk"], format)));
    }

    [SkippableTheory]
    [MemberData(nameof(Formats))]
    public void An_image_changes_hands_and_comes_back(string format, string options)
    {
        QemuImg.SkipWithout();
        ImageFormat type = TypeOf(format);
        byte[] content = Make(format, options);
        using IBlockImage source = _folder.OpenAs(type, "disk");
        using ImageDriver driver = new(source, content);
        driver.Write(4096, [.. Enumerable.Repeat((byte)7, 8192)]);
        Assert.Throws<BlockImageException>(() => _folder.OpenAs(type, "disk").Dispose());
        source.Flush();
        CheckCopy(format, source);
        source.Unlock();
        using (ImageDriver target = _folder.DriveAs(type, "disk", driver.Content))
        {
            Assert.Throws<BlockImageException>(source.Lock);
            target.CheckContent();
            target.Write(65536, [.. Enumerable.Repeat((byte)9, 3 * 1024 * 1024)]);
        }

        source.Lock();
        driver.CheckContent();
        driver.Write(300 * 1024, [.. Enumerable.Repeat((byte)3, 100 * 1024)]);
        source.Flush();
        CheckCopy(format, source);
        Assert.False(source.HasUnwrittenTables);
        BlockImageException e = Assert.Throws<BlockImageException>(() => source.Resize(source.Size * 2));
        Assert.Contains("cannot be given another size", e.Message, StringComparison.Ordinal);
    }

    internal static ImageFormat TypeOf(string format) => format == "vhdx" ? ImageFormat.Vhdx : ImageFormat.FixedVhd;

    private void Check(string format, string about, string name = "disk")
    {
        if (format == "vhdx")
        {
            QemuImg.Check(_folder[name], about: about, format: format);
        }
    }

    private void CheckCopy(string format, IBlockImage image)
    {
        using (Microsoft.Win32.SafeHandles.SafeFileHandle copy = File.OpenHandle(_folder["copy"], FileMode.Create, FileAccess.Write))
        {
            image.CopyTo(copy);
        }

        Check(format, "copy", "copy");
        byte[] all = new byte[image.Size];
        image.Read(0, all);
        Assert.True(all.AsSpan().SequenceEqual(QemuImg.Read(_folder["copy"], format)));
    }

    private long Allocated()
    {
        using System.Diagnostics.Process stat = System.Diagnostics.Process.Start(
            new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%b", _folder["disk"]]) { RedirectStandardOutput = true })!;
        return long.Parse(stat.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture) * 512;
    }

    private byte[] Make(string format, string options)
    {
        _folder.MakeRaw("raw", Bytes, seed: 3);
        QemuImg.Run("convert", "-f", "raw", "-O", format, "-o", options, _folder["raw"], _folder["disk"]);
        return QemuImg.Read(_folder["disk"], format);
    }
}
