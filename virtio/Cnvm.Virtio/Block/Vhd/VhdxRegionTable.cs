using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>The region table of a VHDX image (MS-VHDX §2.2.3), checked: no two regions overlap, nor the log.</summary>
internal sealed class VhdxRegionTable
{
    private VhdxRegionTable(VhdxRegion table, VhdxRegion metadata, VhdxRegion[] all)
    {
        Table = table;
        Metadata = metadata;
        All = all;
    }

    /// <summary>The block allocation table.</summary>
    public VhdxRegion Table { get; }

    public VhdxRegion Metadata { get; }

    /// <summary>By their offsets, with the log.</summary>
    public VhdxRegion[] All { get; }

    /// <exception cref="BlockImageException">It is damaged or not supported.</exception>
    public static VhdxRegionTable Read(IImageFile file, VhdxHeader header)
    {
        byte[] bytes = TryRead(file, VhdxSpec.RegionTable1) ?? TryRead(file, VhdxSpec.RegionTable2)
            ?? throw VhdxSpec.Wrong(file.Path, "has no valid region table: it is damaged, or was not copied whole");
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(VhdxSpec.RegionCount));
        if (count > VhdxSpec.MaxTableEntries)
        {
            throw VhdxSpec.Wrong(file.Path, $"has {count} regions; {VhdxSpec.MaxTableEntries} is the limit");
        }

        VhdxRegion? table = null;
        VhdxRegion? metadata = null;
        List<VhdxRegion> all = [new("log", header.LogOffset, header.LogLength)];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = bytes.AsSpan(VhdxSpec.RegionEntries + (i * VhdxSpec.RegionEntryBytes), VhdxSpec.RegionEntryBytes);
            Guid id = new(entry[..16]);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(entry[VhdxSpec.RegionOffset..]);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(entry[VhdxSpec.RegionLength..]);
            bool isTable = id == VhdxSpec.BlockAllocationTable;
            bool isMetadata = id == VhdxSpec.Metadata;
            string name = isTable ? "block allocation table" : isMetadata ? "metadata region" : $"region {id}";
            if (!isTable && !isMetadata && (entry[VhdxSpec.RegionRequired] & 1) != 0)
            {
                throw VhdxSpec.Wrong(file.Path, $"has a {name} that must be understood, and is not supported");
            }

            if (offset % VhdxSpec.MiB != 0 || length % VhdxSpec.MiB != 0 || offset < VhdxSpec.MiB || offset > VhdxSpec.MaxFile)
            {
                throw VhdxSpec.Wrong(file.Path, $"has a {name} of {length} bytes at {offset}, which cannot be");
            }

            if ((isTable && table is not null) || (isMetadata && metadata is not null))
            {
                throw VhdxSpec.Wrong(file.Path, $"has more than one {name}");
            }

            VhdxRegion region = new(name, offset, length);
            table = isTable ? region : table;
            metadata = isMetadata ? region : metadata;
            all.Add(region);
        }

        all.Sort(static (a, b) => a.Offset.CompareTo(b.Offset));
        for (int i = 1; i < all.Count; i++)
        {
            if (all[i].Offset < all[i - 1].End)
            {
                throw VhdxSpec.Wrong(file.Path, $"has its {all[i].Name} where its {all[i - 1].Name} is, at {all[i].Offset}");
            }
        }

        return new VhdxRegionTable(
            table ?? throw VhdxSpec.Wrong(file.Path, "has no block allocation table"),
            metadata ?? throw VhdxSpec.Wrong(file.Path, "has no metadata region"),
            [.. all]);
    }

    private static byte[]? TryRead(IImageFile file, ulong place)
    {
        byte[] bytes = new byte[VhdxSpec.TableBytes];
        int result = file.ReadAll(place, bytes);
        if (result < 0)
        {
            throw VhdxSpec.Wrong(file.Path, $"cannot be read: {new LinuxException("read", -result).Message}");
        }

        return bytes.AsSpan().StartsWith(VhdxSpec.RegionSignature) && VhdxChecksum.IsRight(bytes) ? bytes : null;
    }
}
