using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>The block allocation table of a dynamic VHD image, and the file around it: a bitmap of its sectors lies before each block.</summary>
/// <remarks>
/// A new block takes the footer's place at the file's end, and the footer moves behind it. A host that dies meanwhile may leave a file that ends
/// without one; the copy at the file's beginning, which never changes, then counts, as it does for every reader of dynamic images.
/// </remarks>
internal sealed unsafe class VhdTable : IBlockTable
{
    private const ulong Sector = BlockSpec.SectorSize;

    /// <summary>New blocks' data begins at a multiple of this, so that pages of the host are whole.</summary>
    private const ulong Alignment = 4096;

    private readonly IImageFile _file;
    private readonly VhdFooter _footer;
    private readonly VhdxRegion[] _regions;
    private readonly ulong _tableOffset;
    private readonly ulong _bitmapBytes;
    private readonly byte[] _fullBitmap;

    /// <summary>A bit for each block whose sectors its bitmap calls written, as far as was looked after here.</summary>
    private readonly ulong[] _isFull;
    private bool _hasFooter;

    /// <summary>Where the footer is or has to be; the file's blocks end before.</summary>
    private ulong _end;

    private VhdTable(IImageFile file, VhdFooter footer)
    {
        _file = file;
        _footer = footer;
        Span<byte> header = stackalloc byte[VhdSpec.HeaderBytes];
        ulong size = file.Size;
        if (footer.DataOffset < Sector || footer.DataOffset > size || size - footer.DataOffset < VhdSpec.HeaderBytes
            || file.ReadAll(footer.DataOffset, header) < 0 || !header.StartsWith(VhdSpec.HeaderCookie))
        {
            throw VhdFooter.Wrong(file.Path, "has no header: it is damaged, or was not copied whole");
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(header[VhdSpec.HeaderChecksum..]) != VhdFooter.Checksum(header, VhdSpec.HeaderChecksum))
        {
            throw VhdFooter.Wrong(file.Path, "has a header whose checksum is wrong: it is damaged");
        }

        uint version = BinaryPrimitives.ReadUInt32BigEndian(header[VhdSpec.HeaderVersion..]);
        BlockBytes = BinaryPrimitives.ReadUInt32BigEndian(header[VhdSpec.HeaderBlockSize..]);
        _tableOffset = BinaryPrimitives.ReadUInt64BigEndian(header[VhdSpec.HeaderTableOffset..]);
        uint entries = BinaryPrimitives.ReadUInt32BigEndian(header[VhdSpec.HeaderTableEntries..]);
        if (version >> 16 != VhdSpec.Version >> 16)
        {
            throw VhdFooter.Wrong(file.Path, $"has a header of version {version >> 16}.{version & 0xffff}, which is not supported (1.0 is)");
        }

        if (!uint.IsPow2(BlockBytes) || BlockBytes is < VhdSpec.MinBlock or > VhdSpec.MaxBlock)
        {
            throw VhdFooter.Wrong(file.Path, $"has blocks of {BlockBytes} bytes, which are not supported (powers of two from {VhdSpec.MinBlock} to {VhdSpec.MaxBlock} are)");
        }

        ulong blocks = ((footer.Size - 1) / BlockBytes) + 1;
        if (footer.Size > VhdSpec.MaxSize || blocks > entries)
        {
            throw VhdFooter.Wrong(file.Path, $"says that its disk has {footer.Size} bytes in {entries} blocks of {BlockBytes}, which cannot be");
        }

        ulong tableBytes = ((entries * (ulong)sizeof(uint)) + Sector - 1) & ~(Sector - 1);
        if (_tableOffset % Sector != 0 || _tableOffset > size || tableBytes > size - _tableOffset)
        {
            throw VhdFooter.Wrong(file.Path, $"has a block allocation table of {tableBytes} bytes at {_tableOffset}, which cannot be");
        }

        _regions =
        [
            new("footer's copy", 0, Sector), new("header", footer.DataOffset, VhdSpec.HeaderBytes), new("block allocation table", _tableOffset, tableBytes),
        ];
        if (_regions[1].Overlaps(_tableOffset, tableBytes) || _regions[0].Overlaps(_tableOffset, tableBytes))
        {
            throw VhdFooter.Wrong(file.Path, "has its block allocation table where its header is");
        }

        _bitmapBytes = ((BlockBytes / Sector / 8) + Sector - 1) & ~(Sector - 1);
        _fullBitmap = new byte[_bitmapBytes];
        Array.Fill(_fullBitmap, (byte)0xff);
        _isFull = new ulong[(blocks / 64) + 1];
        Span<byte> last = stackalloc byte[VhdSpec.FooterBytes];
        _hasFooter = size % Sector == 0 && file.ReadAll(size - Sector, last) == 0 && last.SequenceEqual(footer.Bytes);
        _end = _hasFooter ? size - Sector : (size + Sector - 1) & ~(Sector - 1);
    }

    public ulong Size => _footer.Size;

    public uint BlockBytes { get; }

    public uint SectorBytes => BlockSpec.SectorSize;

    public uint PhysicalSectorBytes => BlockSpec.SectorSize;

    public int TableAlignment => BlockSpec.SectorSize;

    /// <summary>Reads an image's structures.</summary>
    /// <exception cref="BlockImageException">It is damaged or not supported.</exception>
    public static VhdTable Load(IImageFile file)
    {
        VhdFooter footer = VhdImage.ReadFooter(file);
        return footer.Type == VhdSpec.Dynamic ? new VhdTable(file, footer) : throw VhdFooter.Wrong(file.Path, "is another one than before");
    }

    public ulong EntryOffset(ulong block) => _tableOffset + (block * sizeof(uint));

    public bool TryLocate(ulong block, byte* entry, out ulong host)
    {
        uint sector = BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(entry, sizeof(uint)));
        host = 0;
        if (sector == VhdSpec.NoBlock)
        {
            return true;
        }

        ulong bitmap = sector * Sector;
        host = bitmap + _bitmapBytes;
        ulong length = Math.Min(BlockBytes, Size - (block * BlockBytes));
        if (host + length > _end)
        {
            return false;
        }

        foreach (VhdxRegion region in _regions)
        {
            if (region.Overlaps(bitmap, _bitmapBytes + length))
            {
                return false;
            }
        }

        return true;
    }

    public void SetEntry(byte* entry, ulong host) =>
        BinaryPrimitives.WriteUInt32BigEndian(new Span<byte>(entry, sizeof(uint)), (uint)((host - _bitmapBytes) / Sector));

    public int Begin()
    {
        if (_hasFooter)
        {
            return 0;
        }

        int result = _file.WriteAll(_end, _footer.Bytes);
        _hasFooter = result == 0;
        return result;
    }

    public int Append(out ulong host)
    {
        host = (_end + _bitmapBytes + Alignment - 1) & ~(Alignment - 1);
        ulong bitmap = host - _bitmapBytes;
        ulong end = host + BlockBytes;
        if (bitmap / Sector >= VhdSpec.NoBlock)
        {
            return -Errno.ENOSPC;
        }

        // The old footer lies where the bitmap comes, or before it; the data behind the bitmap is a hole.
        int result = _file.WriteAll(end, _footer.Bytes);
        result = result < 0 ? result : _file.WriteAll(bitmap, _fullBitmap);
        _end = result == 0 ? end : _end;
        return result;
    }

    /// <summary>
    /// Others note in the bitmap which of a block's sectors were ever written; the rest are zero in the file, too. So the bitmap of a block that is
    /// written here says once that all of them were.
    /// </summary>
    public int PrepareWrite(ulong block, ulong host)
    {
        ulong bit = 1UL << (int)(block % 64);
        if ((_isFull[block / 64] & bit) != 0)
        {
            return 0;
        }

        int result = _file.WriteAll(host - _bitmapBytes, _fullBitmap);
        if (result == 0)
        {
            _isFull[block / 64] |= bit;
        }

        return result;
    }
}
