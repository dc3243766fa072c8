using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <content>
/// Writing tables back so that the image is whole at every moment: data and counts that went up first, then L2 and L1 tables that refer to
/// them, then counts that go down. A flush of the file lies between each two.
/// </content>
internal sealed unsafe partial class Qcow2Layer
{
    private bool IsL1Dirty => _lastDirtyL1 >= 0;

    private bool IsDirty => _l2.IsDirty || IsL1Dirty || _allocator is { AreCountsDirty: true } or { IsTableDirty: true } or { HasFrees: true };

    /// <summary>Clusters have been written, or given up, that no table in the file says so of yet.</summary>
    public bool HasUnwrittenTables
    {
        get
        {
            // Somebody who writes them just now holds the lock until they are written.
            lock (_gate)
            {
                return _l2.IsDirty || IsL1Dirty;
            }
        }
    }

    /// <summary>Brings what was written to stable storage.</summary>
    /// <param name="settle">Also what no reader of the disk would miss: counts that went down. The file is then as a check wants it.</param>
    public int Flush(bool settle)
    {
        if (_allocator is null)
        {
            return 0;
        }

        lock (_gate)
        {
            Enter();
            if (_isCorrupt)
            {
                return -Errno.EIO;
            }

            if (IsDirty)
            {
                return Commit(settle);
            }
        }

        return _file.DataSync();
    }

    /// <summary>Gives the disk more room.</summary>
    /// <exception cref="BlockImageException">It cannot be; the size is as it was.</exception>
    public void Grow(ulong size)
    {
        if (size == Size)
        {
            return;
        }

        if (_allocator is null || size < Size)
        {
            throw new BlockImageException($"disk {_file.Path}: a qcow2 image can be made larger, not smaller ({Size} bytes now, {size} asked for)");
        }

        ulong needed = _header.L1EntriesFor(size);
        if (size > long.MaxValue || needed > Qcow2Header.MaxL1Entries)
        {
            throw new BlockImageException($"disk {_file.Path}: {size} bytes are too many for a qcow2 image with clusters of {ClusterBytes} bytes");
        }

        if (!IsVersion3 && (_header.Snapshots > 0 || Backing?.Size > Size))
        {
            string reason = _header.Snapshots > 0 ? "has snapshots" : "has a larger backing file";
            throw new BlockImageException($"disk {_file.Path}: a qcow2 image of version 2 that {reason} cannot be made larger (qemu-img amend -o compat=1.1)");
        }

        int result = TryGrow(size, (int)needed);
        if (result < 0)
        {
            throw new BlockImageException($"disk {_file.Path} cannot be given {size} bytes: {new LinuxException("write", -result).Message}");
        }
    }

    private int TryGrow(ulong size, int entries)
    {
        lock (_gate)
        {
            Enter();
            int result = _isCorrupt ? -Errno.EIO : Commit(settle: false);
            if (result == 0 && entries > _l1.Length)
            {
                result = MoveL1(entries);
            }

            if (result < 0)
            {
                return result;
            }
        }

        // What the backing file has behind the disk's old end would come to light.
        ulong old = Size;
        _header = _header with { Size = size };
        int grown = Backing?.Size > old ? WriteZeroes(old, Math.Min(size, Backing.Size) - old, mayFree: true) : 0;
        grown = grown < 0 ? grown : Flush(settle: false);
        grown = grown < 0 ? grown : WriteHeader(Qcow2Spec.HeaderSize, size);
        grown = grown < 0 ? grown : _file.DataSync();
        if (grown < 0)
        {
            _header = _header with { Size = old };
        }

        return grown;
    }

    private int MoveL1(int entries)
    {
        const int PointerBytes = 12;
        ulong bytes = (ulong)entries * sizeof(ulong);
        ulong clusters = (bytes + ClusterMask) >> _header.ClusterBits;
        int result = _allocator!.AllocateTable(clusters, out ulong offset);
        if (result < 0)
        {
            return result;
        }

        ulong[] table = new ulong[clusters * ClusterBytes / sizeof(ulong)];
        _l1.CopyTo(table, 0);
        result = TableFile.Write(_file, offset, table, 0, table.Length - 1);
        result = result < 0 ? result : Commit(settle: false);
        if (result < 0)
        {
            return result;
        }

        byte* pointer = stackalloc byte[PointerBytes];
        Span<byte> p = new(pointer, PointerBytes);
        BinaryPrimitives.WriteUInt32BigEndian(p, (uint)entries);
        BinaryPrimitives.WriteUInt64BigEndian(p[sizeof(uint)..], offset);
        IoVec v = new() { Base = (nint)pointer, Length = PointerBytes };
        result = new VectorCursor(&v, 1).WriteTo(_file, Qcow2Spec.HeaderL1Entries, PointerBytes);
        result = result < 0 ? result : _file.DataSync();
        if (result < 0)
        {
            return result;
        }

        ulong oldEnd = _l1Offset + ((ulong)_l1.Length * sizeof(ulong));
        for (ulong at = _l1Offset; at < oldEnd; at += ClusterBytes)
        {
            _allocator.FreeLater(at);
        }

        _l1 = table[..entries];
        _l1Offset = offset;
        _header = _header with { L1Entries = (uint)entries, L1Offset = offset };
        return 0;
    }

    /// <summary>Writes all tables in their order. Under the lock, which is given up only before it begins.</summary>
    private int Commit(bool settle)
    {
        ClusterAllocator allocator = _allocator!;
        bool drains = allocator.HasFrees;
        if (drains)
        {
            // A cluster that is freed may soon be another's: what is still under way to it has to arrive first.
            _isDraining = true;
            while (_transfers > 0)
            {
                Monitor.Wait(_gate);
            }
        }

        try
        {
            return CommitTables(allocator, settle);
        }
        finally
        {
            if (drains)
            {
                _isDraining = false;
                Monitor.PulseAll(_gate);
            }
        }
    }

    private int CommitTables(ClusterAllocator allocator, bool settle)
    {
        int result = allocator.WriteCounts();
        if (allocator.IsTableDirty)
        {
            result = result < 0 ? result : _file.DataSync();
            result = result < 0 ? result : allocator.WriteTable();
        }

        result = result < 0 ? result : _file.DataSync();
        if (_l2.IsDirty || IsL1Dirty)
        {
            result = result < 0 ? result : _l2.Write();
            result = result < 0 ? result : WriteL1();
            result = result < 0 ? result : _file.DataSync();
        }

        if (result < 0)
        {
            return result;
        }

        result = allocator.ApplyFrees();
        if (settle && result == 0 && allocator.AreCountsDirty)
        {
            result = allocator.WriteCounts();
            result = result < 0 ? result : _file.DataSync();
        }

        return result;
    }

    private int WriteL1()
    {
        if (!IsL1Dirty)
        {
            return 0;
        }

        int result = TableFile.Write(_file, _l1Offset, _l1, _firstDirtyL1, _lastDirtyL1);
        if (result == 0)
        {
            _firstDirtyL1 = int.MaxValue;
            _lastDirtyL1 = -1;
        }

        return result;
    }
}
