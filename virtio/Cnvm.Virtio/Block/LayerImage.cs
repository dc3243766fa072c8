using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>A disk in an image with tables. Locked against other users while it is open.</summary>
internal sealed class LayerImage : IBlockImage
{
    private const uint SectorSize = BlockSpec.SectorSize;

    private readonly IImageLayer _layer;
    private readonly string _path;

    /// <summary>Takes the layer.</summary>
    /// <param name="blockSize">Unit of transfers, in bytes; above 512 where the image or O_DIRECT on its file system wants it.</param>
    /// <param name="physicalBlockSize">Unit of writes that need no reading first, in bytes; as above if it is smaller.</param>
    public LayerImage(IImageLayer layer, DiskImageOptions options, uint blockSize = SectorSize, uint physicalBlockSize = SectorSize)
    {
        _layer = layer;
        _path = options.File.Path;
        IsReadOnly = options.File.IsReadOnly;
        CanDiscard = options.File.IsSparse && !IsReadOnly;
        LogicalBlockSize = blockSize;
        PhysicalBlockSize = Math.Max(blockSize, physicalBlockSize);
        MemoryAlignment = options.File.IsDirect ? blockSize : 1;
    }

    public ulong Size => _layer.Size & ~(ulong)(LogicalBlockSize - 1);

    public bool IsReadOnly { get; }

    public bool CanDiscard { get; }

    public uint LogicalBlockSize { get; }

    public uint PhysicalBlockSize { get; }

    public byte AlignmentOffset => 0;

    public ushort MinimumIoBlocks => 1;

    public uint OptimalIoBlocks => 0;

    public uint MemoryAlignment { get; }

    public uint DiscardGranularity => Math.Max(_layer.DiscardGranularity, LogicalBlockSize);

    public bool HasUnwrittenTables => _layer.HasUnwrittenTables;

    /// <summary>The unit of transfers that the image's file needs, in bytes.</summary>
    /// <exception cref="BlockImageException">The file cannot be opened as asked.</exception>
    public static uint ProbeBlockSize(RawImageOptions file)
    {
        if (!file.IsDirect)
        {
            return SectorSize;
        }

        using DiskFile probe = HostDisk.OpenUnlocked(file.Path, isReadOnly: true, isDirect: true);
        return RawImage.ProbeDirectBlockSize(probe);
    }

    public void Resize(ulong bytes)
    {
        if (IsReadOnly)
        {
            throw new BlockImageException($"disk {_path} is open for reading only");
        }

        if (bytes == 0 || bytes % LogicalBlockSize != 0)
        {
            throw new BlockImageException($"disk {_path}: {bytes} bytes are not a multiple of its block size, {LogicalBlockSize}");
        }

        _layer.Grow(bytes);
    }

    public IBlockQueue OpenQueue(int depth, string name) => new LayerQueue(_layer, depth);

    public unsafe void Read(ulong offset, Span<byte> buffer)
    {
        // SAFETY: the cursor ends with the span.
        fixed (byte* p = buffer)
        {
            IoVec v = new() { Base = (nint)p, Length = (nuint)buffer.Length };
            VectorCursor cursor = new(&v, 1);
            int result = _layer.Read(ref cursor, offset, (ulong)buffer.Length);
            if (result < 0)
            {
                throw new BlockImageException($"disk {_path} cannot be read at byte {offset}: {new LinuxException("read", -result).Message}");
            }
        }
    }

    public void Flush()
    {
        int result = _layer.Flush(settle: true);
        if (result < 0)
        {
            throw new BlockImageException($"disk {_path} cannot be flushed: {new LinuxException("write", -result).Message}");
        }
    }

    public void CopyTo(SafeFileHandle file) => _layer.CopyTo(file);

    public void Unlock() => _layer.Unlock();

    public void Lock() => _layer.Lock();

    public void Dispose() => _layer.Dispose();
}
