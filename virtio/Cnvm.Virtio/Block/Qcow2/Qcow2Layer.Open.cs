using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <content>Reading the tables that are held in memory, and what must be right about them.</content>
internal sealed unsafe partial class Qcow2Layer
{
    private void Load()
    {
        if (!_options.IsReadOnly)
        {
            ThrowIfUnwritable(_file.Path, _header);
        }

        _isCorrupt = _header.IsCorrupt;
        _fileEnd = (_file.Size + ClusterMask) & ~ClusterMask;
        HashSet<ulong> metadata = [0];
        _l1Offset = _header.L1Offset;
        AddTable(metadata, "L1 table", _l1Offset, (ulong)_header.L1Entries * sizeof(ulong));
        _l1 = ReadTable(_l1Offset, (int)_header.L1Entries, "L1 table");
        for (int i = 0; i < _l1.Length; i++)
        {
            AddPointer(metadata, "L2 table", i, _l1[i] & Qcow2Spec.OffsetMask);
        }

        if (_options.IsReadOnly)
        {
            return;
        }

        AddSnapshots(metadata);
        ulong tableBytes = (ulong)_header.RefcountClusters << _header.ClusterBits;
        AddTable(metadata, "refcount table", _header.RefcountOffset, tableBytes);
        ulong[] table = ReadTable(_header.RefcountOffset, (int)(tableBytes / sizeof(ulong)), "refcount table");
        for (int i = 0; i < table.Length; i++)
        {
            table[i] &= Qcow2Spec.RefcountOffsetMask;
            AddPointer(metadata, "refcount block", i, table[i]);
        }

        _allocator = new ClusterAllocator(
            _file, _header, table, metadata, why => Corrupt(why), offset => _l2.Forget(offset, ClusterBytes), _options.GivesBack);

        // What others keep beside the disk (dirty bitmaps) is not kept up to date here, and these bits would promise that it is.
        if (_header.Autoclear != 0)
        {
            int result = WriteHeader(Qcow2Spec.HeaderAutoclear, 0);
            result = result < 0 ? result : _file.DataSync();
            if (result < 0)
            {
                throw Qcow2Header.Wrong(_file.Path, $"cannot be written: {new LinuxException("write", -result).Message}");
            }

            _header = _header with { Autoclear = 0 };
        }
    }

    /// <exception cref="BlockImageException">The image may only be read.</exception>
    public static void ThrowIfUnwritable(string path, Qcow2Header header)
    {
        if (header.IsCorrupt)
        {
            throw Qcow2Header.Wrong(path, "is marked as damaged: run qemu-img check -r all, or open it with readonly=on");
        }

        if (header.IsDirty)
        {
            throw Qcow2Header.Wrong(
                path, "was not closed by its last user, and has lazy refcounts: run qemu-img check -r all, or open it with readonly=on");
        }
    }

    private ulong[] ReadTable(ulong offset, int entries, string name)
    {
        ulong[] table = new ulong[entries];
        int result = entries == 0 ? 0 : TableFile.Read(_file, offset, table);
        return result == 0 ? table : throw Qcow2Header.Wrong(_file.Path, $"has a {name} that cannot be read: {new LinuxException("read", -result).Message}");
    }

    private void AddTable(HashSet<ulong> metadata, string name, ulong offset, ulong bytes)
    {
        for (ulong at = offset; at < offset + bytes; at += ClusterBytes)
        {
            if (!metadata.Add(at >> _header.ClusterBits))
            {
                throw Qcow2Header.Wrong(_file.Path, $"has its {name} where another table is, at {at}");
            }
        }
    }

    private void AddPointer(HashSet<ulong> metadata, string name, int index, ulong offset)
    {
        if (offset == 0)
        {
            return;
        }

        if (!IsPlausible(offset))
        {
            throw Qcow2Header.Wrong(_file.Path, $"has {name} {index} at {offset}, where no cluster of the file is");
        }

        if (!metadata.Add(offset >> _header.ClusterBits))
        {
            throw Qcow2Header.Wrong(_file.Path, $"has {name} {index} where another table is, at {offset}");
        }
    }

    /// <summary>Notes where the snapshots' own tables are, so that they are not taken for data.</summary>
    private void AddSnapshots(HashSet<ulong> metadata)
    {
        ulong at = _header.SnapshotOffset;
        ulong clusters = 0;
        byte* fixedPart = stackalloc byte[Qcow2Spec.SnapshotBytes];
        for (uint i = 0; i < _header.Snapshots; i++)
        {
            IoVec v = new() { Base = (nint)fixedPart, Length = Qcow2Spec.SnapshotBytes };
            if (at + Qcow2Spec.SnapshotBytes > _fileEnd || new VectorCursor(&v, 1).ReadFrom(_file, at, Qcow2Spec.SnapshotBytes) < 0)
            {
                throw Qcow2Header.Wrong(_file.Path, $"has a snapshot table that ends within snapshot {i}");
            }

            ReadOnlySpan<byte> s = new(fixedPart, Qcow2Spec.SnapshotBytes);
            ulong l1 = BinaryPrimitives.ReadUInt64BigEndian(s);
            uint entries = BinaryPrimitives.ReadUInt32BigEndian(s[Qcow2Spec.SnapshotL1Entries..]);
            uint extra = BinaryPrimitives.ReadUInt32BigEndian(s[Qcow2Spec.SnapshotExtraLength..]);
            ulong bytes = (ulong)entries * sizeof(ulong);
            if (entries > Qcow2Header.MaxL1Entries || extra > Qcow2Spec.MaxSnapshotExtra || (l1 & ClusterMask) != 0 || l1 >= _fileEnd || bytes > _fileEnd - l1)
            {
                throw Qcow2Header.Wrong(_file.Path, $"has a snapshot {i} that cannot be");
            }

            CountSnapshotTable(ref clusters, bytes);
            AddTable(metadata, $"snapshot {i}'s L1 table", l1, bytes);
            uint names = (uint)BinaryPrimitives.ReadUInt16BigEndian(s[Qcow2Spec.SnapshotIdLength..])
                + BinaryPrimitives.ReadUInt16BigEndian(s[Qcow2Spec.SnapshotNameLength..]);
            at += (Qcow2Spec.SnapshotBytes + extra + names + 7) & ~7UL;
        }

        if (at > _header.SnapshotOffset && _header.Snapshots > 0)
        {
            CountSnapshotTable(ref clusters, at - _header.SnapshotOffset);
            AddTable(metadata, "snapshot table", _header.SnapshotOffset, at - _header.SnapshotOffset);
        }
    }

    /// <summary>A sparse file costs its maker nothing; what is remembered of it here does.</summary>
    private void CountSnapshotTable(ref ulong clusters, ulong bytes)
    {
        clusters += (bytes + ClusterMask) >> _header.ClusterBits;
        if (clusters > Qcow2Spec.MaxSnapshotClusters)
        {
            throw Qcow2Header.Wrong(_file.Path, $"has snapshots whose tables take more than {Qcow2Spec.MaxSnapshotClusters} clusters");
        }
    }
}
