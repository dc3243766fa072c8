using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>
/// Which clusters of an image's file are in use: refcount table and blocks, and the clusters that hold tables and must never be taken for
/// data. Counts that go up may be written at any time; ones that go down wait in a list until nothing on the disk refers to the cluster
/// (<see cref="ApplyFrees"/>). Results are 0 or negative error numbers. Under the lock of its image.
/// </summary>
internal sealed unsafe partial class ClusterAllocator : IDisposable
{
    private const int CacheBytes = 256 * 1024;

    /// <summary>Most clusters that wait to be freed before the owner should write its tables.</summary>
    private const int ManyFrees = 8192;

    private readonly IImageFile _file;
    private readonly Action<string> _onCorrupt;
    private readonly Action<ulong> _onFreed;
    private readonly TableCache _cache;
    private readonly bool _givesBack;
    private readonly int _order;
    private readonly int _clusterBits;
    private readonly int _blockBits;
    private readonly HashSet<ulong> _metadata;
    private readonly List<ulong> _frees = [];
    private ulong[] _table;
    private ulong _tableOffset;
    private uint _tableClusters;
    private ulong _hint;
    private int _firstDirty = int.MaxValue;
    private int _lastDirty = -1;

    /// <param name="metadata">Clusters that hold tables; the header, L1 and L2 tables are in it already.</param>
    /// <param name="onCorrupt">Told when counts contradict what the tables say.</param>
    /// <param name="onFreed">Told of a cluster (by its offset) that is free from now on.</param>
    /// <param name="givesBack">Whether the host's file gets a hole where a cluster is freed.</param>
    /// <exception cref="BlockImageException">The refcount table is damaged.</exception>
    public ClusterAllocator(
        IImageFile file, Qcow2Header header, ulong[] table, HashSet<ulong> metadata, Action<string> onCorrupt, Action<ulong> onFreed, bool givesBack)
    {
        _file = file;
        _onCorrupt = onCorrupt;
        _onFreed = onFreed;
        _givesBack = givesBack;
        _order = header.RefcountOrder;
        _clusterBits = header.ClusterBits;
        _blockBits = _clusterBits + 3 - _order;
        _metadata = metadata;
        _table = table;
        _tableOffset = header.RefcountOffset;
        _tableClusters = header.RefcountClusters;
        FileEnd = RoundUp(file.Size);
        _cache = new TableCache(file, (int)header.ClusterBytes, CacheBytes);
    }

    /// <summary>End of the last cluster that the file has or that was given away, in bytes.</summary>
    public ulong FileEnd { get; private set; }

    public bool AreCountsDirty => _cache.IsDirty;

    public bool IsTableDirty => _lastDirty >= 0;

    public bool HasFrees => _frees.Count > 0;

    public bool HasManyFrees => _frees.Count > ManyFrees;

    private ulong ClusterBytes => 1UL << _clusterBits;

    public bool IsMetadata(ulong offset) => _metadata.Contains(offset >> _clusterBits);

    /// <summary>Marks a cluster that was given away as one that holds a table.</summary>
    public void AddMetadata(ulong offset) => _metadata.Add(offset >> _clusterBits);

    /// <summary>Takes free clusters that lie side by side: at least one, at most <paramref name="want"/>.</summary>
    /// <param name="isZero">They lie behind the end of the file, so what is not written of them is zero.</param>
    public int Allocate(ulong want, out ulong offset, out ulong got, out bool isZero)
    {
        offset = 0;
        got = 0;
        isZero = false;
        int result = FindFree(want, out ulong first, out ulong count);
        if (result < 0)
        {
            return result;
        }

        result = Claim(first, count);
        if (result < 0)
        {
            return result;
        }

        _hint = first + count;
        offset = first << _clusterBits;
        got = count;
        isZero = offset >= FileEnd && _file.GrowsWithZeroes;
        FileEnd = Math.Max(FileEnd, (first + count) << _clusterBits);
        return 0;
    }

    /// <summary>Gives back clusters of <see cref="Allocate"/> that nothing refers to, not even in memory.</summary>
    public void Undo(ulong offset, ulong clusters)
    {
        for (ulong i = 0; i < clusters; i++)
        {
            // A count that cannot be read now stays, and the cluster with it: lost space, which a check finds.
            _ = Set((offset >> _clusterBits) + i, 0);
        }

        _hint = Math.Min(_hint, offset >> _clusterBits);
    }

    /// <summary>Takes one count from a cluster once the tables that do not refer to it any more are on stable storage.</summary>
    public void FreeLater(ulong offset) => _frees.Add(offset >> _clusterBits);

    /// <summary>Writes changed counts.</summary>
    public int WriteCounts() => _cache.Write();

    /// <summary>Takes the counts of <see cref="FreeLater"/>. The tables are on stable storage, and no transfer is under way.</summary>
    public int ApplyFrees()
    {
        ulong holeStart = 0;
        ulong holeEnd = 0;
        foreach (ulong cluster in _frees)
        {
            int result = Get(cluster, out ulong count);
            if (result < 0)
            {
                _frees.Clear();
                return result;
            }

            if (count == 0)
            {
                _onCorrupt($"cluster {cluster} was in use and has no refcount");
                _frees.Clear();
                return -Errno.EIO;
            }

            result = Set(cluster, count - 1);
            if (result < 0)
            {
                _frees.Clear();
                return result;
            }

            if (count > 1)
            {
                continue;
            }

            _hint = Math.Min(_hint, cluster);
            _metadata.Remove(cluster);
            _cache.Forget(cluster << _clusterBits, ClusterBytes);
            _onFreed(cluster << _clusterBits);
            if (cluster != holeEnd)
            {
                GiveBack(holeStart, holeEnd);
                holeStart = cluster;
            }

            holeEnd = cluster + 1;
        }

        GiveBack(holeStart, holeEnd);
        _frees.Clear();
        return 0;
    }

    /// <summary>Writes changed entries of the refcount table. The blocks that they name are on stable storage.</summary>
    public int WriteTable()
    {
        if (_lastDirty < 0)
        {
            return 0;
        }

        int result = WriteTable(_tableOffset, _firstDirty, _lastDirty);
        if (result == 0)
        {
            _firstDirty = int.MaxValue;
            _lastDirty = -1;
        }

        return result;
    }

    public void Dispose() => _cache.Dispose();

    /// <summary>How often a cluster is referred to; one that no block counts, never.</summary>
    internal int Get(ulong cluster, out ulong count)
    {
        count = 0;
        if (cluster >> _blockBits >= (ulong)_table.Length || _table[cluster >> _blockBits] == 0)
        {
            return 0;
        }

        int result = Slice(cluster, out byte* slice, out _, out int index);
        if (result == 0)
        {
            count = Read(slice, index);
        }

        return result;
    }

    private ulong RoundUp(ulong bytes) => (bytes + ClusterBytes - 1) & ~(ClusterBytes - 1);

    private void GiveBack(ulong start, ulong end)
    {
        if (_givesBack && end > start)
        {
            // Where the file system has no holes, the space stays the file's and is used again.
            _ = _file.PunchHole(start << _clusterBits, (end - start) << _clusterBits);
        }
    }

    private int FindFree(ulong want, out ulong first, out ulong count)
    {
        first = 0;
        count = 0;
        ulong position = _hint;
        while (true)
        {
            ulong block = position >> _blockBits;
            bool isAbsent = block >= (ulong)_table.Length || _table[block] == 0;
            if (isAbsent && count > 0)
            {
                return 0;
            }

            int result = isAbsent ? AddBlock(block) : 0;
            if (result < 0)
            {
                return result;
            }

            result = Slice(position, out byte* slice, out _, out int index);
            if (result < 0)
            {
                return result;
            }

            int entries = _cache.SliceBytes * 8 >> _order;
            for (; index < entries; index++, position++)
            {
                if (Read(slice, index) != 0)
                {
                    if (count > 0)
                    {
                        return 0;
                    }

                    continue;
                }

                first = count == 0 ? position : first;
                if (++count == want)
                {
                    return 0;
                }
            }
        }
    }

    /// <summary>Counts clusters that were free as used once.</summary>
    private int Claim(ulong first, ulong count)
    {
        for (ulong i = 0; i < count; i++)
        {
            if (_metadata.Contains(first + i))
            {
                _onCorrupt($"cluster {first + i} holds a table and has no refcount");
                return -Errno.EIO;
            }
        }

        for (ulong i = 0; i < count; i++)
        {
            int result = Set(first + i, 1);
            if (result < 0)
            {
                Undo(first << _clusterBits, i);
                return result;
            }
        }

        return 0;
    }

    private int Set(ulong cluster, ulong count)
    {
        int result = Slice(cluster, out byte* slice, out int slot, out int index);
        if (result == 0)
        {
            Write(slice, index, count);
            _cache.MarkDirty(slot);
        }

        return result;
    }

    /// <summary>The slice with a cluster's count; its block exists.</summary>
    private int Slice(ulong cluster, out byte* slice, out int slot, out int index)
    {
        slice = null;
        slot = 0;
        index = 0;
        if (_cache.IsCrowded)
        {
            int written = _cache.Write();
            if (written < 0)
            {
                return written;
            }
        }

        ulong inBlock = cluster & ((1UL << _blockBits) - 1);
        ulong at = inBlock << _order >> 3;
        ulong sliceMask = (ulong)_cache.SliceBytes - 1;
        int entriesBits = System.Numerics.BitOperations.Log2((uint)_cache.SliceBytes) + 3 - _order;
        index = (int)(inBlock & ((1UL << entriesBits) - 1));
        return _cache.Get(_table[cluster >> _blockBits] + (at & ~sliceMask), out slice, out slot);
    }

    private ulong Read(byte* slice, int index) => _order switch
    {
        < 3 => (ulong)(slice[index << _order >> 3] >> ((index << _order) & 7)) & ((1UL << (1 << _order)) - 1),
        3 => slice[index],
        4 => BinaryPrimitives.ReverseEndianness(((ushort*)slice)[index]),
        5 => BinaryPrimitives.ReverseEndianness(((uint*)slice)[index]),
        _ => BinaryPrimitives.ReverseEndianness(((ulong*)slice)[index]),
    };

    private void Write(byte* slice, int index, ulong count)
    {
        switch (_order)
        {
            case < 3:
                int shift = (index << _order) & 7;
                int mask = ((1 << (1 << _order)) - 1) << shift;
                ref byte b = ref slice[index << _order >> 3];
                b = (byte)((b & ~mask) | ((int)count << shift));
                break;
            case 3:
                slice[index] = (byte)count;
                break;
            case 4:
                ((ushort*)slice)[index] = BinaryPrimitives.ReverseEndianness((ushort)count);
                break;
            case 5:
                ((uint*)slice)[index] = BinaryPrimitives.ReverseEndianness((uint)count);
                break;
            default:
                ((ulong*)slice)[index] = BinaryPrimitives.ReverseEndianness(count);
                break;
        }
    }
}
