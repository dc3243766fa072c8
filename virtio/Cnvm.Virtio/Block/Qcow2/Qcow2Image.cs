using Cnvm.Linux;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>A disk in a qcow2 image, with the images that it builds on. Locked against other users while it is open.</summary>
internal sealed class Qcow2Image : IBlockImage
{
    private const uint SectorSize = BlockSpec.SectorSize;

    private readonly Qcow2Layer _layer;
    private readonly string _path;

    /// <summary>Takes the layer.</summary>
    /// <param name="blockSize">Unit of transfers, in bytes; above 512 for O_DIRECT on some file systems.</param>
    public Qcow2Image(Qcow2Layer layer, DiskImageOptions options, uint blockSize = SectorSize)
    {
        _layer = layer;
        _path = options.File.Path;
        IsReadOnly = options.File.IsReadOnly;
        CanDiscard = options.File.IsSparse && !IsReadOnly;
        LogicalBlockSize = blockSize;
        MemoryAlignment = options.File.IsDirect ? blockSize : 1;
    }

    public ulong Size => _layer.Size & ~(ulong)(LogicalBlockSize - 1);

    public bool IsReadOnly { get; }

    public bool CanDiscard { get; }

    public uint LogicalBlockSize { get; }

    public uint PhysicalBlockSize => LogicalBlockSize;

    public byte AlignmentOffset => 0;

    public ushort MinimumIoBlocks => 1;

    public uint OptimalIoBlocks => 0;

    public uint MemoryAlignment { get; }

    public uint DiscardGranularity => (uint)_layer.ClusterBytes;

    /// <exception cref="BlockImageException">The image or one that it builds on cannot be opened, is not supported, damaged, or in use.</exception>
    public static Qcow2Image Open(DiskImageOptions options, ILogger logger)
    {
        RawImageOptions file = options.File;
        Qcow2Layer layer = ImageChain.Open(options, logger);
        try
        {
            uint block = SectorSize;
            if (file.IsDirect)
            {
                using DiskFile probe = HostDisk.OpenUnlocked(file.Path, isReadOnly: true, isDirect: true);
                block = RawImage.ProbeDirectBlockSize(probe);
            }

            return new Qcow2Image(layer, options, block);
        }
        catch
        {
            layer.Dispose();
            throw;
        }
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

    public bool HasUnwrittenTables => _layer.HasUnwrittenTables;

    public IBlockQueue OpenQueue(int depth, string name) => new Qcow2Queue(_layer, depth);

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
