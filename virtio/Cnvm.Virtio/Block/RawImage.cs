using System.Numerics;
using System.Runtime.InteropServices;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>A raw disk: a regular file or a block device, locked against other users while it is open.</summary>
public sealed class RawImage : IBlockImage
{
    private const uint DefaultBlockSize = 512;
    private const uint DirectBlockSize = 4096;
    private const ulong SectorMask = DefaultBlockSize - 1;

    private readonly DiskFile _file;
    private readonly RawImageOptions _options;
    private readonly bool _useIoUring;
    private readonly bool _locksWholeFile;
    private readonly Lock _threadsLock = new();
    private IoThreads? _threads;

    private RawImage(DiskFile file, RawImageOptions options, bool useIoUring)
    {
        _file = file;
        _options = options;
        _useIoUring = useIoUring;
        _locksWholeFile = options.LockWholeFile;
        IsReadOnly = options.IsReadOnly;
        CanDiscard = options.IsSparse && !options.IsReadOnly;
        Size = file.Size & ~SectorMask;
        LogicalBlockSize = DefaultBlockSize;
        PhysicalBlockSize = DefaultBlockSize;
        MinimumIoBlocks = 1;
        if (file.IsBlockDevice)
        {
            LogicalBlockSize = ClampBlockSize(file.LogicalBlockSize);
            PhysicalBlockSize = Math.Max(ClampBlockSize(file.PhysicalBlockSize), LogicalBlockSize);
            MinimumIoBlocks = (ushort)Math.Clamp(file.MinimumIoSize / LogicalBlockSize, 1, ushort.MaxValue);
            OptimalIoBlocks = file.OptimalIoSize / LogicalBlockSize;
            AlignmentOffset = (byte)Math.Clamp(file.AlignmentOffset / (int)LogicalBlockSize, 0, byte.MaxValue);
        }
        else if (options.IsDirect)
        {
            LogicalBlockSize = ProbeDirectBlockSize(file);
            PhysicalBlockSize = LogicalBlockSize;
        }

        MemoryAlignment = options.IsDirect ? LogicalBlockSize : 1;
        Size &= ~(ulong)(LogicalBlockSize - 1);
    }

    public ulong Size { get; private set; }

    public bool IsReadOnly { get; }

    public bool CanDiscard { get; }

    public uint LogicalBlockSize { get; }

    public uint PhysicalBlockSize { get; }

    public byte AlignmentOffset { get; }

    public ushort MinimumIoBlocks { get; }

    public uint OptimalIoBlocks { get; }

    public uint MemoryAlignment { get; }

    /// <summary>True when requests go through io_uring, false when through threads.</summary>
    public bool UsesIoUring => _useIoUring;

    /// <summary>Opens and locks an image.</summary>
    /// <exception cref="BlockImageException">It cannot be opened, is not a disk, or is in use.</exception>
    public static RawImage Open(RawImageOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        DiskFile file = HostDisk.Open(options, options.IsDirect);
        try
        {
            return new RawImage(file, options, !options.DisableIoUring && IoUring.IsAvailable());
        }
        catch (LinuxException e)
        {
            file.Dispose();
            throw new BlockImageException($"disk {options.Path} cannot be used: {e.Message}", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Resize(ulong bytes)
    {
        if (IsReadOnly)
        {
            throw new BlockImageException($"disk {_file.Path} is open for reading only");
        }

        if (bytes == 0 || bytes % LogicalBlockSize != 0 || bytes > long.MaxValue)
        {
            throw new BlockImageException($"disk {_file.Path}: {bytes} bytes are not a multiple of its block size, {LogicalBlockSize}");
        }

        try
        {
            SetSize(bytes);
        }
        catch (LinuxException e)
        {
            throw new BlockImageException($"disk {_file.Path} cannot be given {bytes} bytes: {e.Message}", e);
        }
    }

    public IBlockQueue OpenQueue(int depth, string name)
    {
        if (_useIoUring)
        {
            return new UringBlockQueue(_file, depth);
        }

        lock (_threadsLock)
        {
            _threads ??= new IoThreads(name);
            return new ThreadedBlockQueue(_file, _threads, depth);
        }
    }

    public void Read(ulong offset, Span<byte> buffer)
    {
        int result = _file.ReadAll(offset, buffer);
        if (result < 0)
        {
            throw new BlockImageException($"disk {_file.Path} cannot be read at byte {offset}: {new LinuxException("read", -result).Message}");
        }
    }

    public bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length)
    {
        try
        {
            return _file.TryFindData(offset, end, out start, out length);
        }
        catch (LinuxException e)
        {
            throw new BlockImageException($"disk {_file.Path} cannot be searched for data: {e.Message}", e);
        }
    }

    public void Flush()
    {
        int result = IsReadOnly ? 0 : _file.DataSync();
        if (result < 0)
        {
            throw new BlockImageException($"disk {_options.Path} cannot be flushed: {new LinuxException("fdatasync", -result).Message}");
        }
    }

    public void CopyTo(SafeFileHandle file) => HostDisk.Copy(_file, file);

    public void Unlock() => _file.Unlock();

    public void Lock() => HostDisk.Lock(_file, _options.IsReadOnly, _options.LockWholeFile);

    public void Dispose()
    {
        _threads?.Dispose();
        _file.Dispose();
    }

    /// <summary>Locks what the file is about to have behind its end too.</summary>
    /// <exception cref="BlockImageException">Somebody else has it.</exception>
    internal void LockUpTo(ulong bytes)
    {
        if (!_locksWholeFile && !_file.TryLock(exclusive: true, bytes))
        {
            throw new BlockImageException($"disk {_file.Path}: another process has locked what lies behind its end");
        }
    }

    private void SetSize(ulong bytes)
    {
        if (_file.IsBlockDevice)
        {
            // Its owner makes the device larger; here the guest is told how much of it is its own.
            if (bytes > _file.Size)
            {
                throw new BlockImageException($"disk {_file.Path} is a block device of {_file.Size} bytes: enlarge it first");
            }
        }
        else
        {
            if (bytes > Size)
            {
                LockUpTo(bytes);
            }

            _file.SetSize(bytes);
        }

        Size = bytes;
    }

    private static uint ClampBlockSize(uint size) =>
        BitOperations.IsPow2(size) ? Math.Clamp(size, DefaultBlockSize, 1u << 16) : DefaultBlockSize;

    /// <summary>The smallest block that the file system takes directly: tried out, as kernels before 6.1 do not tell.</summary>
    internal static unsafe uint ProbeDirectBlockSize(DiskFile file)
    {
        void* buffer = NativeMemory.AlignedAlloc(DirectBlockSize, DirectBlockSize);
        try
        {
            // SAFETY: the buffer is larger than what is read. An address that is a multiple of 512 but not of 4096 shows both limits.
            IoVec v = new() { Base = (nint)buffer + (int)DefaultBlockSize, Length = DefaultBlockSize };
            return file.Read(&v, 1, 0) == -Errno.EINVAL ? DirectBlockSize : DefaultBlockSize;
        }
        finally
        {
            NativeMemory.AlignedFree(buffer);
        }
    }
}
