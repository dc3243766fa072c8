using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>What the metadata of a VHDX image say of its disk (MS-VHDX §2.6), checked.</summary>
internal sealed record VhdxMetadata
{
    /// <summary>Bytes of a payload block; a power of two.</summary>
    public required uint BlockBytes { get; init; }

    /// <summary>Bytes of the disk; whole sectors.</summary>
    public required ulong Size { get; init; }

    /// <summary>512 or 4096.</summary>
    public required uint SectorBytes { get; init; }

    /// <summary>512 or 4096.</summary>
    public required uint PhysicalSectorBytes { get; init; }

    /// <exception cref="BlockImageException">They are damaged or not supported.</exception>
    public static VhdxMetadata Read(IImageFile file, VhdxRegion region)
    {
        byte[] table = new byte[VhdxSpec.TableBytes];
        if (region.Length < VhdxSpec.TableBytes || file.ReadAll(region.Offset, table) < 0 || !table.AsSpan().StartsWith(VhdxSpec.MetadataSignature))
        {
            throw VhdxSpec.Wrong(file.Path, "has no metadata table: it is damaged, or was not copied whole");
        }

        int count = BinaryPrimitives.ReadUInt16LittleEndian(table.AsSpan(VhdxSpec.MetadataCount));
        if (count > VhdxSpec.MaxTableEntries)
        {
            throw VhdxSpec.Wrong(file.Path, $"has {count} metadata items; {VhdxSpec.MaxTableEntries} is the limit");
        }

        Dictionary<Guid, ulong> items = [];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = table.AsSpan(VhdxSpec.MetadataEntries + (i * VhdxSpec.MetadataEntryBytes), VhdxSpec.MetadataEntryBytes);
            Guid id = new(entry[..16]);
            int expected = Length(id);
            bool isRequired = (BinaryPrimitives.ReadUInt32LittleEndian(entry[VhdxSpec.MetadataFlags..]) & VhdxSpec.MetadataRequired) != 0;
            if (id == VhdxSpec.ParentLocator)
            {
                throw Differencing(file);
            }

            if (expected == 0)
            {
                if (isRequired)
                {
                    throw VhdxSpec.Wrong(file.Path, $"has a metadata item {id} that must be understood, and is not supported");
                }

                continue;
            }

            ulong offset = BinaryPrimitives.ReadUInt32LittleEndian(entry[VhdxSpec.MetadataOffset..]);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(entry[VhdxSpec.MetadataLength..]);
            if (offset < VhdxSpec.TableBytes || offset + length > region.Length || length != expected)
            {
                throw VhdxSpec.Wrong(file.Path, $"has a metadata item {id} of {length} bytes at {offset}, which cannot be");
            }

            if (!items.TryAdd(id, region.Offset + offset))
            {
                throw VhdxSpec.Wrong(file.Path, $"has more than one metadata item {id}");
            }
        }

        ulong parameters = Value(file, items, VhdxSpec.FileParameters);
        if ((parameters >> 32 & VhdxSpec.HasParent) != 0)
        {
            throw Differencing(file);
        }

        return Check(file.Path, new VhdxMetadata
        {
            BlockBytes = (uint)parameters,
            Size = Value(file, items, VhdxSpec.VirtualDiskSize),
            SectorBytes = (uint)Value(file, items, VhdxSpec.LogicalSectorSize),
            PhysicalSectorBytes = (uint)Value(file, items, VhdxSpec.PhysicalSectorSize),
        });
    }

    private static VhdxMetadata Check(string path, VhdxMetadata found)
    {
        if (!ulong.IsPow2(found.BlockBytes) || found.BlockBytes is < VhdxSpec.MinBlock or > VhdxSpec.MaxBlock)
        {
            throw VhdxSpec.Wrong(path, $"has blocks of {found.BlockBytes} bytes, which cannot be");
        }

        if (found.SectorBytes is not (512 or 4096) || found.PhysicalSectorBytes is not (512 or 4096))
        {
            throw VhdxSpec.Wrong(path, $"has sectors of {found.SectorBytes} bytes ({found.PhysicalSectorBytes} physically), which cannot be");
        }

        return found.Size == 0 || found.Size % found.SectorBytes != 0 || found.Size > VhdxSpec.MaxSize
            ? throw VhdxSpec.Wrong(path, $"says that its disk has {found.Size} bytes, which cannot be")
            : found;
    }

    /// <summary>Bytes of an item that is understood; 0: it is not.</summary>
    private static int Length(Guid id) =>
        id == VhdxSpec.FileParameters || id == VhdxSpec.VirtualDiskSize ? 8
        : id == VhdxSpec.LogicalSectorSize || id == VhdxSpec.PhysicalSectorSize ? 4
        : id == VhdxSpec.VirtualDiskId ? 16
        : 0;

    private static ulong Value(IImageFile file, Dictionary<Guid, ulong> items, Guid id)
    {
        Span<byte> value = stackalloc byte[sizeof(ulong)];
        value.Clear();
        if (!items.TryGetValue(id, out ulong at))
        {
            throw VhdxSpec.Wrong(file.Path, $"has no metadata item {id}");
        }

        int result = file.ReadAll(at, value[..Length(id)]);
        return result == 0 ? BinaryPrimitives.ReadUInt64LittleEndian(value)
            : throw VhdxSpec.Wrong(file.Path, $"has metadata that cannot be read: {new LinuxException("read", -result).Message}");
    }

    private static BlockImageException Differencing(IImageFile file) => VhdxSpec.Wrong(
        file.Path, "is a differencing disk, which is not supported: merge it with its parent, or convert it where its parent is");
}
