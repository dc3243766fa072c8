using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>
/// A qcow2 image: what its tables say, and transfers by them. Any number of threads. Tables change under one lock; data of clusters that
/// exist already moves outside of it. Results are 0 or negative error numbers.
/// </summary>
internal sealed unsafe partial class Qcow2Layer : IBackingLayer, IImageLayer
{
    /// <summary>Most that slices of L2 tables take: the tables of 16 GiB in clusters of 64 KiB. Memory comes when it is needed.</summary>
    private const int L2CacheBytes = 2 * 1024 * 1024;

    private readonly IImageFile _file;
    private readonly IImageFile _data;
    private readonly LayerOptions _options;
    private readonly ILogger _logger;

    // A monitor, as those who need transfers to end wait for it.
    private readonly object _gate = new();
    private Qcow2Header _header;
    private ulong[] _l1 = [];
    private ulong _l1Offset;
    private int _firstDirtyL1 = int.MaxValue;
    private int _lastDirtyL1 = -1;
    private readonly TableCache _l2;
    private ClusterAllocator? _allocator;
    private readonly ClusterDecompressor _decompressor;
    private int _transfers;
    private bool _isDraining;
    private bool _isCorrupt;
    private bool _isUnlocked;
    private ulong _fileEnd;
    private byte* _bounce;

    /// <summary>Opens an image; owns the files and the backing layer once it has returned.</summary>
    /// <param name="file">The image's file.</param>
    /// <param name="data">The same file for data of whole clusters, where that differs (O_DIRECT).</param>
    /// <exception cref="BlockImageException">The image is damaged or not supported.</exception>
    public Qcow2Layer(IImageFile file, IImageFile? data, Qcow2Header header, IBackingLayer? backing, LayerOptions options, ILogger logger)
    {
        _file = file;
        _data = data ?? file;
        _header = header;
        _options = options;
        _logger = logger;
        Backing = backing;
        _l2 = new TableCache(file, (int)header.ClusterBytes, L2CacheBytes);
        _decompressor = new ClusterDecompressor(file, header.ClusterBits, header.IsZstd);
        Load();
    }

    public ulong Size => _header.Size;

    public ulong ClusterBytes => _header.ClusterBytes;

    public uint DiscardGranularity => (uint)ClusterBytes;

    /// <summary>Whether the image was found damaged, by whoever had it open before or here: it is not written any more.</summary>
    public bool IsCorrupt => _isCorrupt;

    internal IBackingLayer? Backing { get; }

    private ulong ClusterMask => _header.ClusterBytes - 1;

    private int L2Bits => _header.ClusterBits - 3;

    private bool IsVersion3 => _header.Version >= 3;

    private ulong FileEnd => _allocator?.FileEnd ?? _fileEnd;

    /// <summary>Reads the header of an image.</summary>
    /// <exception cref="BlockImageException">It is damaged or not supported.</exception>
    public static Qcow2Header ReadHeader(IImageFile file)
    {
        // The largest cluster there can be; of smaller ones no more is looked at than the first.
        const int MaxHeader = 64 * 1024;
        ulong size = file.Size;
        byte[] start = new byte[Math.Min(size, MaxHeader)];
        fixed (byte* p = start)
        {
            IoVec v = new() { Base = (nint)p, Length = (nuint)start.Length };
            int result = start.Length == 0 ? 0 : new VectorCursor(&v, 1).ReadFrom(file, 0, (ulong)start.Length);
            if (result < 0)
            {
                throw Qcow2Header.Wrong(file.Path, $"cannot be read: {new LinuxException("read", -result).Message}");
            }
        }

        return Qcow2Header.Parse(file.Path, start, size);
    }

    public int Read(ref VectorCursor cursor, ulong offset, ulong length)
    {
        while (length > 0)
        {
            int result = ReadExtent(ref cursor, offset, length, out ulong done);
            if (result < 0)
            {
                return result;
            }

            offset += done;
            length -= done;
        }

        return 0;
    }

    public void Unlock()
    {
        _isUnlocked = true;
        Backing?.Unlock();
        _options.Unlock?.Invoke();
    }

    /// <summary>Takes the image again and reads its tables anew: somebody else may have had it.</summary>
    public void Lock()
    {
        _options.Relock?.Invoke();
        Backing?.Lock();
        lock (_gate)
        {
            Qcow2Header header = ReadHeader(_file);
            if (header.Size != _header.Size || header.ClusterBits != _header.ClusterBits || header.BackingFile != _header.BackingFile)
            {
                throw Qcow2Header.Wrong(_file.Path, "is another one than before");
            }

            _header = header;
            _l2.Clear();
            _decompressor.Clear();
            _allocator?.Dispose();
            Load();
            _isUnlocked = false;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_allocator is not null && !_isCorrupt && !_isUnlocked)
            {
                Enter();
                int result = Commit(settle: true);
                if (result < 0)
                {
                    LogNotWritten(_logger, _file.Path, -result);
                }
            }

            _allocator?.Dispose();
            _l2.Dispose();
            NativeMemory.Free(_bounce);
            _bounce = null;
        }

        if (_data != _file)
        {
            _data.Dispose();
        }

        _file.Dispose();
        Backing?.Dispose();
    }

    /// <summary>Waits until nobody needs the lock for the end of all transfers. Under the lock.</summary>
    private void Enter()
    {
        while (_isDraining)
        {
            Monitor.Wait(_gate);
        }
    }

    /// <summary>Ends a transfer of data that went on outside of the lock.</summary>
    private void EndTransfer()
    {
        lock (_gate)
        {
            if (--_transfers == 0 && _isDraining)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    private int ReadExtent(ref VectorCursor cursor, ulong offset, ulong length, out ulong done)
    {
        ExtentKind kind;
        ulong host;
        lock (_gate)
        {
            Enter();
            int result = Map(offset, length, out kind, out host, out done);
            if (result < 0)
            {
                return result;
            }

            if (kind == ExtentKind.Compressed)
            {
                return ReadCompressed(ref cursor, host, offset, done);
            }

            if (kind == ExtentKind.Data)
            {
                _transfers++;
            }
        }

        switch (kind)
        {
            case ExtentKind.Data:
                try
                {
                    return cursor.ReadFrom(_data, host, done);
                }
                finally
                {
                    EndTransfer();
                }

            case ExtentKind.Backing:
                return ReadBacking(ref cursor, offset, done);
            default:
                cursor.Clear(done);
                return 0;
        }
    }

    private int ReadBacking(ref VectorCursor cursor, ulong offset, ulong length)
    {
        ulong inside = Backing is null || offset >= Backing.Size ? 0 : Math.Min(length, Backing.Size - offset);
        if (inside > 0)
        {
            int result = Backing!.Read(ref cursor, offset, inside);
            if (result < 0)
            {
                return result;
            }
        }

        cursor.Clear(length - inside);
        return 0;
    }

    private int ReadCompressed(ref VectorCursor cursor, ulong entry, ulong offset, ulong length)
    {
        int result = _decompressor.Load(entry, FileEnd, out ReadOnlySpan<byte> cluster);
        if (result < 0)
        {
            return result;
        }

        fixed (byte* p = cluster)
        {
            cursor.CopyFrom(p + (offset & ClusterMask), length);
        }

        return 0;
    }

    /// <summary>Finds where the bytes at an offset are, and how many more are there. Under the lock.</summary>
    /// <param name="host">Offset in the file; of a compressed cluster its L2 entry.</param>
    private int Map(ulong offset, ulong length, out ExtentKind kind, out ulong host, out ulong run)
    {
        kind = ExtentKind.Backing;
        host = 0;
        int result = L2Slice(offset, out byte* slice, out _, out int index, out int entries);
        ulong inCluster = offset & ClusterMask;
        if (slice == null)
        {
            run = Math.Min(length, ((ulong)(entries - index) << _header.ClusterBits) - inCluster);
            return result;
        }

        ulong first = TableCache.Entry(slice, index);
        kind = Classify(first);
        run = ClusterBytes - inCluster;
        if (kind == ExtentKind.Compressed)
        {
            host = first;
            run = Math.Min(run, length);
            return 0;
        }

        host = first & Qcow2Spec.OffsetMask;
        if (kind == ExtentKind.Data && !IsPlausible(host))
        {
            return Corrupt($"its disk's offset {offset} lies at {host} of the file, where no cluster can be");
        }

        ulong next = host;
        for (int i = index + 1; i < entries && run < length; i++)
        {
            ulong entry = TableCache.Entry(slice, i);
            next += ClusterBytes;
            if (Classify(entry) != kind || (kind == ExtentKind.Data && ((entry & Qcow2Spec.OffsetMask) != next || !IsPlausible(next))))
            {
                break;
            }

            run += ClusterBytes;
        }

        host += inCluster;
        run = Math.Min(run, length);
        return 0;
    }

    private ExtentKind Classify(ulong entry)
    {
        if ((entry & Qcow2Spec.Compressed) != 0)
        {
            return ExtentKind.Compressed;
        }

        bool hasOffset = (entry & Qcow2Spec.OffsetMask) != 0;
        return IsVersion3 && (entry & Qcow2Spec.Zero) != 0 ? hasOffset ? ExtentKind.ZeroKept : ExtentKind.Zero
            : hasOffset ? ExtentKind.Data
            : ExtentKind.Backing;
    }

    /// <summary>Whether a cluster of data can begin at an offset of the file.</summary>
    private bool IsPlausible(ulong host) => (host & ClusterMask) == 0 && host < FileEnd;

    /// <summary>The slice of the L2 table for an offset of the disk; null where there is no table.</summary>
    /// <param name="entries">Entries in a slice.</param>
    private int L2Slice(ulong offset, out byte* slice, out int slot, out int index, out int entries)
    {
        slice = null;
        slot = 0;
        entries = _l2.SliceBytes / sizeof(ulong);
        ulong inTable = (offset >> _header.ClusterBits) & ((1UL << L2Bits) - 1);
        index = (int)(inTable & (ulong)(entries - 1));
        ulong table = _l1[offset >> (_header.ClusterBits + L2Bits)] & Qcow2Spec.OffsetMask;
        return table == 0 ? 0 : _l2.Get(table + ((inTable - (ulong)index) * sizeof(ulong)), out slice, out slot);
    }

    /// <summary>Notes that the image is damaged: it is not written any more, here or by anybody who honours the mark.</summary>
    private int Corrupt(string why)
    {
        if (_isCorrupt)
        {
            return -Errno.EIO;
        }

        _isCorrupt = true;
        LogCorrupt(_logger, _file.Path, why);
        if (_allocator is not null && IsVersion3)
        {
            // The mark is a help for later; that it cannot be written changes nothing here.
            _ = WriteHeader(Qcow2Spec.HeaderIncompatible, _header.Incompatible | Qcow2Spec.Corrupt);
            _ = _file.DataSync();
        }

        return -Errno.EIO;
    }

    private int WriteHeader(int at, ulong value)
    {
        ulong bytes = BinaryPrimitives.ReverseEndianness(value);
        IoVec v = new() { Base = (nint)(&bytes), Length = sizeof(ulong) };
        return new VectorCursor(&v, 1).WriteTo(_file, (ulong)at, sizeof(ulong));
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "disk {Path}: the qcow2 image is damaged and is not written any more: {Why}. Run qemu-img check")]
    private static partial void LogCorrupt(ILogger logger, string path, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "disk {Path}: the tables of the qcow2 image could not be written at its end: errno {Errno}")]
    private static partial void LogNotWritten(ILogger logger, string path, int errno);
}
