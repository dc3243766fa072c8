using System.Buffers.Binary;
using Cnvm.Fuzz;
using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Vhd;
using Cnvm.Virtio.Tests.Block.Qcow2;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using MemoryFile = Cnvm.Virtio.Tests.Block.Qcow2.MemoryFile;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>VHDX and dynamic VHD images that are damaged, made to do harm, or of kinds that are not supported.</summary>
[Collection(ImageTests.Name)]
public sealed class BlockTableDamageTests : IDisposable
{
    private const int Bytes = 4 << 20;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A structure, offset of a field in it, its bytes, its value, and what is said.</summary>
    public static TheoryData<string, int, int, ulong, string> Fields => new()
    {
        { "header", VhdxSpec.HeaderVersion, 2, 2, "version 2" },
        { "header", VhdxSpec.HeaderLogVersion, 2, 1, "log of version 1" },
        { "header", VhdxSpec.HeaderLogOffset, 8, 1UL << 62, "which cannot be" },
        { "header", VhdxSpec.HeaderLogOffset, 8, 0, "which cannot be" },
        { "header", VhdxSpec.HeaderLogLength, 4, 0xfff0_0000, "where its log is" },
        { "regions", VhdxSpec.RegionCount, 4, 0xffff_ffff, "4294967295 regions" },
        { "regions", VhdxSpec.RegionCount, 4, 0, "no block allocation table" },
        { "regions", VhdxSpec.RegionCount, 4, 5, "which cannot be" },
        { "table", VhdxSpec.RegionOffset, 8, 0, "which cannot be" },
        { "table", VhdxSpec.RegionOffset, 8, 512, "which cannot be" },
        { "table", VhdxSpec.RegionOffset, 8, ulong.MaxValue & ~0xf_ffffUL, "which cannot be" },
        { "table", VhdxSpec.RegionOffset, 8, 1 << 20, "where its " },
        { "table", VhdxSpec.RegionOffset, 8, 1UL << 40, "ends before the entry" },
        { "table", VhdxSpec.RegionLength, 4, 0, "ends before the entry" },
        { "table", VhdxSpec.RegionLength, 4, 100, "which cannot be" },
        { "table", 0, 8, 77, "no block allocation table" },
        { "metadata region", 0, 8, 77, "no metadata region" },
        { "metadata region", VhdxSpec.RegionOffset, 8, 1UL << 40, "no metadata table" },
        { "metadata table", VhdxSpec.MetadataCount, 2, 0xffff, "65535 metadata items" },
        { "metadata table", VhdxSpec.MetadataCount, 2, 0, "has no metadata item" },
        { "size", VhdxSpec.MetadataOffset, 4, 0, "which cannot be" },
        { "size", VhdxSpec.MetadataOffset, 4, 0xffff_ffff, "which cannot be" },
        { "size", VhdxSpec.MetadataLength, 4, 4, "which cannot be" },
        { "size", 0, 8, 77, "must be understood" },
        { "size value", 0, 8, 0, "0 bytes, which cannot be" },
        { "size value", 0, 8, 513, "513 bytes, which cannot be" },
        { "size value", 0, 8, ulong.MaxValue & ~511UL, "which cannot be" },
        { "size value", 0, 8, 64UL << 40, "ends before the entry" },
        { "parameters value", 0, 4, 0, "blocks of 0 bytes" },
        { "parameters value", 0, 4, 3 << 20, "blocks of 3145728 bytes" },
        { "parameters value", 0, 4, 512 << 20, "blocks of 536870912 bytes" },
        { "parameters value", 0, 4, 1 << 19, "blocks of 524288 bytes" },
        { "parameters value", 4, 4, 2, "a differencing disk" },
        { "sector value", 0, 4, 1024, "sectors of 1024 bytes" },
    };

    [SkippableTheory]
    [MemberData(nameof(Fields))]
    public void A_field_that_cannot_be_is_refused_by_name(string structure, int offset, int length, ulong value, string reason)
    {
        QemuImg.SkipWithout();
        VhdxFile image = new(Make("vhdx", "subformat=dynamic,block_size=1M"));
        _ = structure switch
        {
            "header" => image.SetHeader(offset, length, value),
            "regions" => image.SetRegion(offset, length, value),
            "table" => image.SetRegion(image.RegionEntry(VhdxSpec.BlockAllocationTable) + offset, length, value),
            "metadata region" => image.SetRegion(image.RegionEntry(VhdxSpec.Metadata) + offset, length, value),
            "metadata table" => Put(image.MetadataOffset),
            "size" => Put(image.MetadataEntry(VhdxSpec.VirtualDiskSize)),
            "size value" => Put(image.MetadataValue(VhdxSpec.VirtualDiskSize)),
            "parameters value" => Put(image.MetadataValue(VhdxSpec.FileParameters)),
            _ => Put(image.MetadataValue(VhdxSpec.LogicalSectorSize)),
        };
        Refused(ImageFormat.Vhdx, image.Bytes, reason);

        VhdxFile Put(int at)
        {
            image.Put(at + offset, length, value);
            return image;
        }
    }

    [SkippableTheory]
    [InlineData(1, "must be understood")]
    [InlineData(0, "")]
    public void A_region_that_nobody_knows_is_refused_where_it_must_be_known_and_kept_clear_of_elsewhere(int required, string reason)
    {
        QemuImg.SkipWithout();
        VhdxFile image = new(Make("vhdx", "subformat=dynamic,block_size=1M"));
        int entry = VhdxSpec.RegionEntries + (2 * VhdxSpec.RegionEntryBytes);
        image.SetRegion(entry, 8, 77);
        ulong end = ((ulong)image.Bytes.Length + (1 << 20) - 1) >> 20 << 20;
        image.SetRegion(entry + VhdxSpec.RegionOffset, 8, end);
        image.SetRegion(entry + VhdxSpec.RegionLength, 4, 2 << 20);
        image.SetRegion(entry + VhdxSpec.RegionRequired, 4, (uint)required);
        image.SetRegion(VhdxSpec.RegionCount, 4, 3);

        // Its first block is nowhere, and comes behind the region, which the file does not reach yet.
        image.Put(image.TableOffset, 8, 0);
        if (reason.Length > 0)
        {
            Refused(ImageFormat.Vhdx, image.Bytes, reason);
            return;
        }

        File.WriteAllBytes(_folder["disk"], image.Bytes);
        using (ImageDriver driver = _folder.DriveAs(ImageFormat.Vhdx, "disk", new byte[Bytes]))
        {
            Assert.Equal(512, driver.Write(0, new byte[512]));
        }

        Assert.Equal((end + (2 << 20)) | VhdxSpec.FullyPresent, new VhdxFile(File.ReadAllBytes(_folder["disk"])).Wide(image.TableOffset));
    }

    [SkippableTheory]
    [InlineData(0, 8, 0UL, "no header")]
    [InlineData(VhdSpec.HeaderVersion, 4, 0x0002_0000UL, "version 2.0")]
    [InlineData(VhdSpec.HeaderBlockSize, 4, 0UL, "blocks of 0 bytes")]
    [InlineData(VhdSpec.HeaderBlockSize, 4, 3UL << 20, "blocks of 3145728 bytes")]
    [InlineData(VhdSpec.HeaderBlockSize, 4, 1UL << 31, "blocks of 2147483648 bytes")]
    [InlineData(VhdSpec.HeaderTableEntries, 4, 1UL, "which cannot be")]
    [InlineData(VhdSpec.HeaderTableEntries, 4, 0xffff_ffffUL, "which cannot be")]
    [InlineData(VhdSpec.HeaderTableOffset, 8, 1UL, "which cannot be")]
    [InlineData(VhdSpec.HeaderTableOffset, 8, 1UL << 60, "which cannot be")]
    [InlineData(VhdSpec.HeaderTableOffset, 8, 512UL, "where its header is")]
    [InlineData(VhdSpec.HeaderChecksum, 4, 0UL, "checksum is wrong")]
    public void A_dynamic_header_that_cannot_be_is_refused_by_name(int offset, int length, ulong value, string reason)
    {
        QemuImg.SkipWithout();
        byte[] image = Make("vpc", "subformat=dynamic,force_size=on");
        Span<byte> header = image.AsSpan(512, VhdSpec.HeaderBytes);
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(number, value);
        number[(8 - length)..].CopyTo(header[offset..]);
        if (offset != VhdSpec.HeaderChecksum)
        {
            BinaryPrimitives.WriteUInt32BigEndian(header[VhdSpec.HeaderChecksum..], VhdFooter.Checksum(header, VhdSpec.HeaderChecksum));
        }

        Refused(ImageFormat.FixedVhd, image, reason);
    }

    [SkippableFact]
    public void One_header_or_region_table_may_be_lost_and_not_both()
    {
        QemuImg.SkipWithout();
        byte[] image = Make("vhdx", "subformat=dynamic,block_size=1M");
        foreach (ulong place in new[] { VhdxSpec.Header1, VhdxSpec.Header2, VhdxSpec.RegionTable1, VhdxSpec.RegionTable2 })
        {
            byte[] damaged = (byte[])image.Clone();
            damaged[place + 100] ^= 1;
            File.WriteAllBytes(_folder["disk"], damaged);
            using (ImageDriver driver = _folder.DriveAs(ImageFormat.Vhdx, "disk", File.ReadAllBytes(_folder["raw"])))
            {
                driver.CheckContent();
                driver.Write(0, new byte[512]);
            }

            // QEMU looks at the first region table only.
            if (place != VhdxSpec.RegionTable1)
            {
                QemuImg.Check(_folder["disk"], format: "vhdx");
            }
        }

        byte[] both = (byte[])image.Clone();
        both[VhdxSpec.Header1 + 100] ^= 1;
        both[VhdxSpec.Header2 + 100] ^= 1;
        Refused(ImageFormat.Vhdx, both, "no valid header");
        both = (byte[])image.Clone();
        both[VhdxSpec.RegionTable1 + 100] ^= 1;
        both[VhdxSpec.RegionTable2 + 100] ^= 1;
        Refused(ImageFormat.Vhdx, both, "no valid region table");
        VhdxFile equal = new((byte[])image.Clone());
        equal.SetHeader(VhdxSpec.HeaderSequence, 8, 5);
        equal.Bytes[VhdxSpec.Header1 + VhdxSpec.HeaderFileWriteGuid] ^= 1;
        byte[] two = equal.SetHeader(VhdxSpec.HeaderSequence, 8, 5).Bytes;
        Refused(ImageFormat.Vhdx, two, "both say that they count");
        VhdxFile last = new((byte[])image.Clone());
        last.SetHeader(VhdxSpec.HeaderSequence, 8, ulong.MaxValue);
        last.Bytes[VhdxSpec.Header2 + 100] ^= 1;
        Refused(ImageFormat.Vhdx, last.Bytes, "which cannot be");
    }

    [SkippableTheory]
    [InlineData("vhdx", 0UL)]
    [InlineData("vhdx", 1UL << 20)]
    [InlineData("vhdx", 1UL << 50)]
    [InlineData("vpc", 0UL)]
    [InlineData("vpc", 1UL << 39)]
    public void A_block_that_lies_on_a_table_or_nowhere_fails_the_request_and_ends_writing(string format, ulong host)
    {
        QemuImg.SkipWithout();
        byte[] image = Make(format, format == "vhdx" ? "subformat=dynamic,block_size=1M" : "subformat=dynamic,force_size=on");
        if (format == "vhdx")
        {
            VhdxFile file = new(image);
            file.Put(file.TableOffset, 8, host | VhdxSpec.FullyPresent);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(1536), (uint)(host / 512));
        }

        File.WriteAllBytes(_folder["disk"], image);
        using ImageDriver driver = _folder.DriveAs(BlockTableInterchangeTests.TypeOf(format), "disk", new byte[Bytes]);
        Assert.True(driver.Write(3 << 20, new byte[512]) > 0);
        Assert.Equal(-Errno.EIO, driver.Read(0, new byte[512]));
        Assert.Equal(-Errno.EIO, driver.Write(0, new byte[512]));
        Assert.Equal(-Errno.EIO, driver.Write(3 << 20, new byte[512]));
        Assert.Equal(-Errno.EIO, driver.Flush());

        // What can be read still is, and what lay there is as it was.
        Assert.Equal(512, driver.Read(3 << 20, new byte[512]));
        Assert.Equal(image.AsSpan(0, 512).ToArray(), File.ReadAllBytes(_folder["disk"])[..512]);
    }

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M")]
    [InlineData("vpc", "subformat=dynamic,force_size=on")]
    public void A_file_cut_anywhere_ends_in_an_error_at_most(string format, string options)
    {
        QemuImg.SkipWithout();
        byte[] image = Make(format, options);
        SeededRuns.Repeat(60, seed =>
        {
            Random random = new(seed);
            int length = random.Next(4) == 0 ? random.Next(4096) : random.Next(image.Length);
            Use(format, new MemoryFile(image[..length]), random);
        });
    }

    [SkippableTheory]
    [InlineData("vhdx", "subformat=dynamic,block_size=1M")]
    [InlineData("vpc", "subformat=dynamic,force_size=on")]
    public void Damage_anywhere_ends_in_an_error_at_most(string format, string options)
    {
        QemuImg.SkipWithout();
        byte[] image = Make(format, options);
        int opened = 0;
        SeededRuns.Repeat(200, seed =>
        {
            Random random = new(seed);
            byte[] damaged = (byte[])image.Clone();
            for (int k = random.Next(1, 5); k > 0; k--)
            {
                Mutate(format, damaged, random);
            }

            opened += Use(format, new MemoryFile(damaged), random) ? 1 : 0;
        });

        Assert.InRange(opened, 20, int.MaxValue);
    }

    [SkippableFact]
    public void A_disk_of_large_sectors_has_them_for_the_guest_too()
    {
        QemuImg.SkipWithout();
        VhdxFile image = new(Make("vhdx", "subformat=dynamic,block_size=1M"));
        image.Put(image.MetadataValue(VhdxSpec.LogicalSectorSize), 4, 4096);
        image.Put(image.MetadataValue(VhdxSpec.PhysicalSectorSize), 4, 4096);
        File.WriteAllBytes(_folder["disk"], image.Bytes);
        using TestMemory memory = new();
        using PciGuest guest = new(
            new BlockDevice(new BlockOptions { Id = "_disk0" }, _folder.OpenAs(ImageFormat.Vhdx, "disk"), NullLogger.Instance), memory);

        // blk_size (virtio 1.2 §5.2.4).
        Assert.Equal(4096, BitConverter.ToInt32(guest.ReadConfiguration(20, 4)));
        BlockDriver driver = new(memory, guest);
        Assert.Equal(0, driver.Read(8, 4096));
        Assert.Equal(File.ReadAllBytes(_folder["raw"])[4096..8192], driver.Bytes(4096));
    }

    [SkippableFact]
    public void Data_goes_past_the_page_cache_when_asked()
    {
        QemuImg.SkipWithout();
        Make("vpc", "subformat=dynamic,force_size=on");
        Assert.Contains("direct=on", Assert.Throws<BlockImageException>(() => _folder.OpenAs(ImageFormat.FixedVhd, "disk", direct: true)).Message, StringComparison.Ordinal);
        Make("vhdx", "subformat=dynamic,block_size=1M");
        byte[] content = File.ReadAllBytes(_folder["raw"]);
        IBlockImage image;
        try
        {
            image = _folder.OpenAs(ImageFormat.Vhdx, "disk", direct: true);
        }
        catch (BlockImageException e) when (e.Message.Contains("direct I/O", StringComparison.Ordinal))
        {
            Skip.If(true, "the file system of the test has no direct I/O");
            throw;
        }

        using TestMemory memory = new();
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), memory);
        BlockDriver driver = new(memory, guest);
        Assert.Equal(0, driver.Write(8, new byte[8192]));
        content.AsSpan(4096, 8192).Clear();
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(0, driver.Read((ulong)i * 128, 65536));
            Assert.Equal(content.AsSpan(i * 65536, 65536).ToArray(), driver.Bytes(65536));
        }
    }

    /// <summary>Opens and uses an image that may be damaged. False when it was refused.</summary>
    private static bool Use(string format, MemoryFile file, Random random)
    {
        // Sparse files cost their makers nothing; this one would cost memory.
        file.OnWrite = offset => offset > 48 << 20 ? -Errno.ENOSPC : 0;
        LayerImage image;
        try
        {
            image = BlockTableCrashTests.Open(format, file, isReadOnly: format == "vhdx" && random.Next(4) == 0);
        }
        catch (BlockImageException)
        {
            return false;
        }

        int sectors = (int)Math.Min(image.Size, Bytes) / 512;
        using ImageDriver driver = new(image, new byte[sectors * 512]);
        for (int i = 0; i < 30 && sectors > 0; i++)
        {
            int first = random.Next(sectors);
            byte[] data = new byte[random.Next(1, Math.Min(64, sectors - first) + 1) * 512];
            int result = random.Next(5) switch
            {
                0 => driver.Read(first * 512L, data),
                1 => driver.Write(first * 512L, data),
                2 => driver.Zero(BlockOperation.WriteZeroes, first * 512L, data.Length),
                3 => driver.Zero(BlockOperation.WriteZeroesUnmap, first * 512L, data.Length),
                _ => driver.Flush(),
            };
            Assert.True(result >= 0 || result is -Errno.EIO or -Errno.ENOSPC, $"{result}");
        }

        return true;
    }

    private static void Mutate(string format, byte[] image, Random random)
    {
        if (format != "vhdx")
        {
            // Footer's copy, header and table; mostly with checksums that are right again.
            int place = random.Next(2) == 0 ? random.Next(1536) : 1536 + random.Next(16);
            image[place] = (byte)random.Next(256);
            Span<byte> header = image.AsSpan(512, VhdSpec.HeaderBytes);
            if (random.Next(4) != 0)
            {
                BinaryPrimitives.WriteUInt32BigEndian(header[VhdSpec.HeaderChecksum..], VhdFooter.Checksum(header, VhdSpec.HeaderChecksum));
                BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(VhdSpec.FooterChecksum), VhdFooter.Checksum(image.AsSpan(0, 512), VhdSpec.FooterChecksum));
            }

            return;
        }

        VhdxFile file = new(image);
        ulong value = random.Next(4) switch
        {
            0 => 1UL << random.Next(64),
            1 => (ulong)random.NextInt64(),
            2 => (ulong)random.Next(20) << 20,
            _ => (ulong)random.Next(8),
        };
        switch (random.Next(6))
        {
            case 0:
                file.SetHeader(8 * random.Next(1, 12), 8, value);
                break;
            case 1:
                file.SetRegion(8 * random.Next(1, 12), 8, value);
                break;
            case 2:
                Put(VhdxSpec.MetadataEntries + (8 * random.Next(24)), 2 << 20);
                break;
            case 3:
                Put(VhdxSpec.TableBytes + (4 * random.Next(16)), 2 << 20);
                break;
            default:
                Put(8 * random.Next(6), 3 << 20);
                break;
        }

        void Put(int at, int region)
        {
            if (region + at + 8 <= image.Length)
            {
                file.Put(region + at, 8, value);
            }
        }
    }

    private void Refused(ImageFormat format, byte[] image, string reason)
    {
        File.WriteAllBytes(_folder["disk"], image);
        BlockImageException e = Assert.Throws<BlockImageException>(() => _folder.OpenAs(format, "disk").Dispose());
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.Contains(_folder["disk"], e.Message, StringComparison.Ordinal);
        Assert.Equal(image, File.ReadAllBytes(_folder["disk"]));
    }

    private byte[] Make(string format, string options)
    {
        _folder.MakeRaw("raw", Bytes, seed: 2);
        QemuImg.Run("convert", "-f", "raw", "-O", format, "-o", options, _folder["raw"], _folder["disk"]);
        return File.ReadAllBytes(_folder["disk"]);
    }
}
