using System.Buffers.Binary;
using Cnvm.Fuzz;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Qcow2;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Images that are damaged, made to do harm, or of kinds that are not supported.</summary>
[Collection(ImageTests.Name)]
public sealed class DamageTests : IDisposable
{
    private const int Bytes = 1024 * 1024;
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Offset of a field, its bytes, its value, and what is said.</summary>
    public static TheoryData<int, int, ulong, string> Headers => new()
    {
        { 4, 4, 1, "version 1" },
        { 4, 4, 4, "version 4" },
        { 20, 4, 8, "2^8 bytes in a cluster" },
        { 20, 4, 22, "2^22 bytes in a cluster" },
        { 20, 4, 0xffff_ffff, "bytes in a cluster" },
        { 24, 8, ulong.MaxValue, "too large an L1 table" },
        { 24, 8, 1UL << 62, "too large an L1 table" },
        { 24, 8, 1UL << 40, "needs 524288" },
        { 32, 4, 1, "encrypted (AES)" },
        { 32, 4, 2, "encrypted (LUKS)" },
        { 36, 4, 0, "L1 table of 0 entries" },
        { 36, 4, 0xffff_ffff, "too large an L1 table" },
        { 36, 4, 0x10_0000, "L1 table outside of the file" },
        { 40, 8, 0, "not a cluster of its own" },
        { 40, 8, 12, "not a cluster of its own" },
        { 40, 8, 1UL << 60, "outside of the file" },
        { 48, 8, 1, "not a cluster of its own" },
        { 48, 8, ulong.MaxValue & ~0xfffUL, "outside of the file" },
        { 56, 4, 0, "refcount table of 0 clusters" },
        { 56, 4, 0xffff_ffff, "clusters, which cannot be" },
        { 56, 4, 2048, "outside of the file" },
        { 60, 4, 0xffff_ffff, "snapshots" },
        { 60, 4, 1, "snapshot table" },
        { 72, 8, 1, "lazy refcounts" },
        { 72, 8, 2, "marked as damaged" },
        { 72, 8, 4, "external data file" },
        { 72, 8, 16, "extended L2" },
        { 72, 8, 1UL << 40, "bit 40" },
        { 72, 8, 8, "compression type 0" },
        { 96, 4, 7, "2^7 bits" },
        { 100, 4, 8, "header of 8 bytes" },
        { 100, 4, 0x7fff_ffff, "which cannot be" },
        { 8, 8, 5000, "backing file outside" },
        { 8, 8, ulong.MaxValue, "backing file outside" },
    };

    [SkippableTheory]
    [MemberData(nameof(Headers))]
    public void A_header_that_cannot_be_is_refused_by_name(int offset, int length, ulong value, string reason)
    {
        QemuImg.SkipWithout();
        byte[] image = Make();
        Put(image, offset, length, value);
        File.WriteAllBytes(_folder["disk"], image);
        BlockImageException e = Assert.Throws<BlockImageException>(() => _folder.Open("disk").Dispose());
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.Contains(_folder["disk"], e.Message, StringComparison.Ordinal);
        Assert.Equal(image, File.ReadAllBytes(_folder["disk"]));
    }

    [SkippableFact]
    public void Tables_that_lie_on_each_other_are_refused()
    {
        QemuImg.SkipWithout();
        byte[] image = Make();
        int l1 = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(40));
        int refcounts = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(48));
        ulong block = BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(refcounts));
        Refused(l1, (uint)l1 | 1UL << 63, "where another table is");
        Refused(l1, block | 1UL << 63, "where another table is");
        Refused(l1, 1UL << 63 | 512, "where no cluster");
        Refused(l1, 1UL << 63 | 1UL << 50, "where no cluster");
        Refused(refcounts, (ulong)l1, "where another table is");
        Refused(refcounts + 8, block, "where another table is");
        Refused(refcounts + 8, 1UL << 50, "where no cluster");

        void Refused(int offset, ulong value, string reason)
        {
            byte[] damaged = (byte[])image.Clone();
            Put(damaged, offset, 8, value);
            File.WriteAllBytes(_folder["disk"], damaged);
            BlockImageException e = Assert.Throws<BlockImageException>(() => _folder.Open("disk").Dispose());
            Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        }
    }

    [SkippableFact]
    public void Snapshots_whose_tables_fill_the_memory_are_refused()
    {
        QemuImg.SkipWithout();
        const int Count = 65;
        const int TableBytes = (int)Qcow2Header.MaxL1Entries * sizeof(ulong);
        QemuImg.Run("create", "-f", "qcow2", "-o", "cluster_size=512", _folder["many"], "1M");
        using (FileStream file = File.OpenWrite(_folder["many"]))
        {
            long table = (file.Length + 511) & ~511L;
            long tables = table + (128 * Qcow2Spec.SnapshotBytes);
            file.SetLength(tables + ((long)Count * TableBytes));
            byte[] fields = new byte[12];
            BinaryPrimitives.WriteInt32BigEndian(fields, Count);
            BinaryPrimitives.WriteInt64BigEndian(fields.AsSpan(4), table);
            Write(Qcow2Spec.HeaderSnapshots, fields);
            for (int i = 0; i < Count; i++)
            {
                BinaryPrimitives.WriteInt64BigEndian(fields, tables + ((long)i * TableBytes));
                BinaryPrimitives.WriteInt32BigEndian(fields.AsSpan(8), TableBytes / sizeof(ulong));
                Write(table + (i * Qcow2Spec.SnapshotBytes), fields);
            }

            void Write(long at, byte[] bytes)
            {
                file.Position = at;
                file.Write(bytes);
            }
        }

        BlockImageException e = Assert.Throws<BlockImageException>(() => _folder.Open("many").Dispose());
        Assert.Contains("more than 1048576 clusters", e.Message, StringComparison.Ordinal);
        _folder.Open("many", readOnly: true).Dispose();
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Data_that_lies_on_a_table_fails_the_request_and_ends_writing(bool onTable)
    {
        QemuImg.SkipWithout();
        byte[] image = Make();
        int l1 = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(40));
        int l2 = (int)(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(l1)) & Qcow2Spec.OffsetMask);
        Put(image, l2, 8, (onTable ? (uint)l1 : 1UL << 45) | 1UL << 63);
        File.WriteAllBytes(_folder["disk"], image);
        using (ImageDriver driver = _folder.Drive("disk"))
        {
            Assert.True(driver.Write(8192, new byte[512]) > 0);
            Assert.Equal(-5, driver.Write(0, new byte[512]));
            Assert.Equal(-5, driver.Write(8192, new byte[512]));
            Assert.Equal(-5, driver.Flush());

            // What can be read still is.
            Assert.Equal(512, driver.Read(65536, new byte[512]));
            byte[] now = File.ReadAllBytes(_folder["disk"]);
            Assert.Equal(2UL, BinaryPrimitives.ReadUInt64BigEndian(now.AsSpan(72)));
            Assert.Equal(image.AsSpan(l1, 8).ToArray(), now.AsSpan(l1, 8).ToArray());
        }

        BlockImageException e = Assert.Throws<BlockImageException>(() => _folder.Open("disk").Dispose());
        Assert.Contains("marked as damaged", e.Message, StringComparison.Ordinal);
        _folder.Open("disk", readOnly: true).Dispose();
    }

    [SkippableTheory]
    [InlineData("zlib")]
    [InlineData("zstd")]
    public void Damage_anywhere_ends_in_an_error_at_most(string packing)
    {
        QemuImg.SkipWithout();
        QemuImg.Run("convert", "-c", "-O", "qcow2", "-o", $"cluster_size=4k,compression_type={packing}", Raw(), _folder["packed"]);
        QemuImg.Run("snapshot", "-c", "s", _folder["packed"]);
        QemuImg.Io(_folder["packed"], "write -P 3 100k 300k", "write -z 500k 64k");
        byte[] image = File.ReadAllBytes(_folder["packed"]);
        int[] tables = Tables(image);
        int opened = 0;
        SeededRuns.Repeat(400, seed =>
        {
            Random random = new(seed);
            byte[] damaged = (byte[])image.Clone();
            for (int k = random.Next(1, 6); k > 0; k--)
            {
                Mutate(damaged, tables, random);
            }

            opened += Use(new MemoryFile(damaged), random) ? 1 : 0;
        });

        Assert.True(opened > 100, $"only {opened} could be opened");
    }

    /// <summary>Opens and uses an image that may be damaged. False when it was refused.</summary>
    private static bool Use(MemoryFile file, Random random)
    {
        Qcow2Layer layer;
        try
        {
            bool readOnly = random.Next(4) == 0;
            layer = new(file, null, Qcow2Layer.ReadHeader(file), null, new LayerOptions { IsReadOnly = readOnly }, NullLogger.Instance);
        }
        catch (BlockImageException)
        {
            return false;
        }

        DiskImageOptions options = new() { File = new RawImageOptions { Path = file.Path } };
        int sectors = (int)Math.Min(layer.Size, Bytes) / 512;
        using ImageDriver driver = new(new LayerImage(layer, options), new byte[sectors * 512]);
        for (int i = 0; i < 40 && sectors > 0; i++)
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
            Assert.True(result >= 0 || result == -5 || result == -28, $"{result}");
        }

        return true;
    }

    private static void Mutate(byte[] image, int[] tables, Random random)
    {
        int table = random.Next(10) == 0 ? 0 : tables[random.Next(tables.Length)];
        int at = table + (random.Next(table == 0 ? 14 : 128) * 8);
        if (at + 8 > image.Length)
        {
            return;
        }

        ulong old = BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(at));
        ulong value = random.Next(6) switch
        {
            0 => old ^ (1UL << random.Next(64)),
            1 => (ulong)random.NextInt64(),
            2 => (uint)tables[random.Next(tables.Length)] | ((ulong)random.Next(4) << 62),
            3 => ((uint)random.Next(image.Length) & ~0xfffUL) | 1UL << 63,
            4 => 0,
            _ => old + ((ulong)random.Next(-2, 3) << random.Next(40)),
        };
        BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at), value);
    }

    private static int[] Tables(byte[] image)
    {
        int l1 = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(40));
        int refcounts = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(48));
        int block = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(refcounts));
        int snapshots = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(64));
        int l2 = (int)(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(l1)) & Qcow2Spec.OffsetMask);
        return [l1, refcounts, block, snapshots, l2, l2];
    }

    private static void Put(byte[] image, int offset, int length, ulong value)
    {
        if (length == 4)
        {
            BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(offset), (uint)value);
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(offset), value);
        }
    }

    private string Raw()
    {
        _folder.MakeRaw("raw", Bytes, seed: 2);
        return _folder["raw"];
    }

    private byte[] Make()
    {
        QemuImg.Run("convert", "-O", "qcow2", "-o", "cluster_size=4k", Raw(), _folder["disk"]);
        return File.ReadAllBytes(_folder["disk"]);
    }
}
