using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>The block allocation table of a VHDX image (MS-VHDX §2.5), and the file around it.</summary>
internal sealed unsafe class VhdxTable : IBlockTable
{
    private readonly IImageFile _file;
    private readonly VhdxHeader _header;
    private readonly VhdxRegionTable _regions;
    private readonly VhdxMetadata _metadata;

    /// <summary>Blocks between two entries for sector bitmaps, which only differencing disks have.</summary>
    private readonly ulong _chunk;
    private ulong _fileEnd;

    private VhdxTable(IImageFile file, VhdxHeader header, VhdxRegionTable regions, VhdxMetadata metadata)
    {
        _file = file;
        _header = header;
        _regions = regions;
        _metadata = metadata;
        _chunk = VhdxSpec.SectorsPerChunk * metadata.SectorBytes / metadata.BlockBytes;
        _fileEnd = file.Size;
        ulong last = (metadata.Size - 1) / metadata.BlockBytes;
        ulong end = EntryOffset(last) + sizeof(ulong);
        if (end > regions.Table.End || end > _fileEnd)
        {
            throw VhdxSpec.Wrong(file.Path, $"has a block allocation table that ends before the entry of block {last}: it is damaged, or was not copied whole");
        }
    }

    public ulong Size => _metadata.Size;

    public uint BlockBytes => _metadata.BlockBytes;

    public uint SectorBytes => _metadata.SectorBytes;

    public uint PhysicalSectorBytes => _metadata.PhysicalSectorBytes;

    public int TableAlignment => (int)VhdxSpec.MiB;

    /// <summary>Reads an image's structures, and brings them up to date by its log if it may be written.</summary>
    /// <exception cref="BlockImageException">The image is damaged or not supported, or is to be read only and has something in its log.</exception>
    public static VhdxTable Load(IImageFile file, bool isReadOnly)
    {
        Span<byte> signature = stackalloc byte[8];
        if (file.ReadAll(0, signature) < 0 || !signature.SequenceEqual(VhdxSpec.FileSignature))
        {
            throw VhdxSpec.Wrong(file.Path, "does not begin as one");
        }

        VhdxHeader header = VhdxHeader.Read(file);
        if (header.LogGuid != Guid.Empty)
        {
            VhdxLog.Replay(file, header, isReadOnly);
        }

        VhdxRegionTable regions = VhdxRegionTable.Read(file, header);
        return new VhdxTable(file, header, regions, VhdxMetadata.Read(file, regions.Metadata));
    }

    public ulong EntryOffset(ulong block) => _regions.Table.Offset + ((block + (block / _chunk)) * sizeof(ulong));

    public bool TryLocate(ulong block, byte* entry, out ulong host)
    {
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(entry, sizeof(ulong)));
        ulong state = value & VhdxSpec.StateMask;
        host = 0;
        if (state != VhdxSpec.FullyPresent)
        {
            // Not present, undefined, zero and unmapped: all may be read as zeroes. What offset there is means nothing then.
            return state <= VhdxSpec.Unmapped;
        }

        host = value & VhdxSpec.OffsetMask;
        return IsPlausible(host, Math.Min(BlockBytes, Size - (block * BlockBytes)));
    }

    public void SetEntry(byte* entry, ulong host) =>
        BinaryPrimitives.WriteUInt64LittleEndian(new Span<byte>(entry, sizeof(ulong)), host | VhdxSpec.FullyPresent);

    public int Begin() => _header.Update(changesDisk: true, Guid.Empty);

    public int Append(out ulong host)
    {
        host = (_fileEnd + VhdxSpec.MiB - 1) & ~(VhdxSpec.MiB - 1);
        foreach (VhdxRegion region in _regions.All)
        {
            // A region may be promised behind the file's end.
            host = Math.Max(host, region.End);
        }

        ulong end = host + BlockBytes;
        if (end > VhdxSpec.MaxFile)
        {
            return -Errno.ENOSPC;
        }

        // The file has all of the block from now on, as its readers expect; what lies before is a hole.
        int result = ZeroFill.Write(_file, end - BlockSpec.SectorSize, BlockSpec.SectorSize);
        _fileEnd = result == 0 ? end : _fileEnd;
        return result;
    }

    private bool IsPlausible(ulong host, ulong length)
    {
        if (host < VhdxSpec.MiB || host > VhdxSpec.MaxFile || host + length > _fileEnd)
        {
            return false;
        }

        foreach (VhdxRegion region in _regions.All)
        {
            if (region.Overlaps(host, length))
            {
                return false;
            }
        }

        return true;
    }
}
