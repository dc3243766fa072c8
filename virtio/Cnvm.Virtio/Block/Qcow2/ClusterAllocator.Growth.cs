using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <content>New refcount blocks, a larger refcount table, and room for other tables that must lie in one piece.</content>
internal sealed unsafe partial class ClusterAllocator
{
    /// <summary>Offset of the refcount table in the header, and of its length.</summary>
    private const int HeaderTableBytes = 12;

    /// <summary>Takes clusters for a table that lies in one piece: at the end of the file.</summary>
    public int AllocateTable(ulong clusters, out ulong offset)
    {
        offset = 0;
        while (true)
        {
            int result = Plan(clusters, out ulong first, out List<ulong> blocks);
            if (result < 0)
            {
                return result;
            }

            ulong last = (first + clusters + (ulong)blocks.Count - 1) >> _blockBits;
            if (last >= (ulong)_table.Length)
            {
                result = GrowTable(last);
                if (result < 0)
                {
                    return result;
                }

                continue;
            }

            result = ClaimRegion(first, clusters, blocks);
            offset = first << _clusterBits;
            for (ulong i = 0; i < clusters && result == 0; i++)
            {
                _metadata.Add(first + i);
            }

            return result;
        }
    }

    /// <summary>Makes the block that counts a range of clusters; it takes the first of them.</summary>
    private int AddBlock(ulong block)
    {
        if (block >= (ulong)_table.Length)
        {
            int grown = GrowTable(block);
            if (grown < 0 || _table[block] != 0)
            {
                return grown;
            }
        }

        ulong cluster = block << _blockBits;
        int result = StartBlock(block, cluster);
        return result < 0 ? result : Set(cluster, 1);
    }

    private int StartBlock(ulong block, ulong cluster)
    {
        if (!_metadata.Add(cluster))
        {
            _onCorrupt($"cluster {cluster} holds a table and has no refcount");
            return -Errno.EIO;
        }

        ulong offset = cluster << _clusterBits;
        int result = ZeroFill.Write(_file, offset, ClusterBytes);
        if (result < 0)
        {
            _metadata.Remove(cluster);
            return result;
        }

        _cache.Forget(offset, ClusterBytes);
        _table[block] = offset;
        _firstDirty = Math.Min(_firstDirty, (int)block);
        _lastDirty = Math.Max(_lastDirty, (int)block);
        FileEnd = Math.Max(FileEnd, offset + ClusterBytes);
        return 0;
    }

    /// <summary>Finds a free region at the end of the file, with room behind it for the blocks that it needs and that are missing.</summary>
    private int Plan(ulong clusters, out ulong first, out List<ulong> blocks)
    {
        first = FileEnd >> _clusterBits;
        blocks = [];
        while (true)
        {
            blocks.Clear();
            ulong last = first + clusters - 1;
            for (ulong block = first >> _blockBits; block <= last >> _blockBits; block++)
            {
                if (block >= (ulong)_table.Length || _table[block] == 0)
                {
                    blocks.Add(block);
                    last++;
                }
            }

            int result = FirstUsed(first, last, out ulong used);
            if (result < 0)
            {
                return result;
            }

            if (used > last)
            {
                return 0;
            }

            // Counted although it lies behind the end of the file: lost space, or damage; not ours.
            first = used + 1;
        }
    }

    private int FirstUsed(ulong first, ulong last, out ulong used)
    {
        for (used = first; used <= last; used++)
        {
            int result = Get(used, out ulong count);
            if (result < 0 || count != 0)
            {
                return result;
            }
        }

        return 0;
    }

    private int ClaimRegion(ulong first, ulong clusters, List<ulong> blocks)
    {
        ulong cluster = first + clusters;
        foreach (ulong block in blocks)
        {
            int result = StartBlock(block, cluster++);
            if (result < 0)
            {
                return result;
            }
        }

        FileEnd = Math.Max(FileEnd, cluster << _clusterBits);
        for (ulong i = first; i < cluster; i++)
        {
            int result = Set(i, 1);
            if (result < 0)
            {
                return result;
            }
        }

        return 0;
    }

    /// <summary>Moves the refcount table to where it has room for a block, and more.</summary>
    private int GrowTable(ulong block)
    {
        ulong perCluster = ClusterBytes / sizeof(ulong);
        ulong entries = (ulong)_table.Length;
        ulong first;
        List<ulong> blocks;
        do
        {
            entries = Math.Max(block + 1, entries + (entries / 2) + 1);
            entries = (entries + perCluster - 1) / perCluster * perCluster;
            if (entries * sizeof(ulong) > Qcow2Header.MaxRefcountTable)
            {
                return -Errno.ENOSPC;
            }

            int planned = Plan(entries / perCluster, out first, out blocks);
            if (planned < 0)
            {
                return planned;
            }

            block = (first + (entries / perCluster) + (ulong)blocks.Count - 1) >> _blockBits;
        }
        while (block >= entries);

        ulong[] old = _table;
        _table = new ulong[entries];
        old.CopyTo(_table, 0);
        int result = ClaimRegion(first, entries / perCluster, blocks);
        result = result < 0 ? result : MoveTable(first << _clusterBits, (uint)(entries / perCluster));
        if (result < 0)
        {
            // As before, but for clusters that are lost.
            foreach (ulong added in blocks)
            {
                if (_table[added] != 0)
                {
                    _cache.Forget(_table[added], ClusterBytes);
                    _metadata.Remove(_table[added] >> _clusterBits);
                }
            }

            _table = old;
            _lastDirty = Math.Min(_lastDirty, old.Length - 1);
        }

        return result;
    }

    private int MoveTable(ulong offset, uint clusters)
    {
        int result = _cache.Write();
        result = result < 0 ? result : WriteTable(offset, 0, _table.Length - 1);
        result = result < 0 ? result : _file.DataSync();
        if (result < 0)
        {
            return result;
        }

        byte* header = stackalloc byte[HeaderTableBytes];
        Span<byte> h = new(header, HeaderTableBytes);
        BinaryPrimitives.WriteUInt64BigEndian(h, offset);
        BinaryPrimitives.WriteUInt32BigEndian(h[sizeof(ulong)..], clusters);
        IoVec v = new() { Base = (nint)header, Length = HeaderTableBytes };
        result = new VectorCursor(&v, 1).WriteTo(_file, Qcow2Spec.HeaderRefcountOffset, HeaderTableBytes);
        result = result < 0 ? result : _file.DataSync();
        if (result < 0)
        {
            return result;
        }

        for (uint i = 0; i < _tableClusters; i++)
        {
            FreeLater(_tableOffset + (i * ClusterBytes));
        }

        for (uint i = 0; i < clusters; i++)
        {
            _metadata.Add((offset >> _clusterBits) + i);
        }

        _tableOffset = offset;
        _tableClusters = clusters;
        _firstDirty = int.MaxValue;
        _lastDirty = -1;
        return 0;
    }

    private int WriteTable(ulong offset, int first, int last) => TableFile.Write(_file, offset, _table, first, last);
}
