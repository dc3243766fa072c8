using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <content>Writing data: into clusters that are the disk's alone, or into new ones.</content>
internal sealed unsafe partial class Qcow2Layer
{
    public int Write(ref VectorCursor cursor, ulong offset, ulong length)
    {
        while (length > 0)
        {
            int result = WriteExtent(ref cursor, offset, length, out ulong done);
            if (result < 0)
            {
                return result;
            }

            offset += done;
            length -= done;
        }

        return 0;
    }

    private int WriteExtent(ref VectorCursor cursor, ulong offset, ulong length, out ulong done)
    {
        ulong host = 0;
        done = 0;
        lock (_gate)
        {
            Enter();
            int result = MakeRoom();
            result = result < 0 ? result : MapOwn(offset, length, out host, out done);
            if (result < 0)
            {
                return result;
            }

            if (done == 0)
            {
                return WriteNew(ref cursor, offset, length, out done);
            }

            _transfers++;
        }

        try
        {
            return cursor.WriteTo(_data, host, done);
        }
        finally
        {
            EndTransfer();
        }
    }

    /// <summary>What comes before a change of tables: the image may be written, and the cache has room. Under the lock.</summary>
    private int MakeRoom() =>
        _isCorrupt || _allocator is null ? -Errno.EIO
        : _l2.IsCrowded || _allocator.HasManyFrees ? Commit(settle: false)
        : 0;

    /// <summary>Finds clusters with data that are the disk's alone, side by side. Under the lock.</summary>
    /// <param name="run">0 when there are none.</param>
    private int MapOwn(ulong offset, ulong length, out ulong host, out ulong run)
    {
        host = 0;
        run = 0;
        int result = L2Slice(offset, out byte* slice, out _, out int index, out int entries);
        if (slice == null || !IsWritableTable(offset))
        {
            return result;
        }

        ulong inCluster = offset & ClusterMask;
        for (int i = index; i < entries && run < length; i++)
        {
            ulong entry = TableCache.Entry(slice, i);
            ulong at = entry & Qcow2Spec.OffsetMask;
            if (Classify(entry) != ExtentKind.Data || (entry & Qcow2Spec.Copied) == 0 || (run > 0 && at != host + run + inCluster))
            {
                break;
            }

            if (!IsPlausible(at) || _allocator!.IsMetadata(at))
            {
                run = 0;
                return Corrupt($"its disk's offset {offset} lies at {at} of the file, where no data can be");
            }

            host = run == 0 ? at : host;
            run += run == 0 ? ClusterBytes - inCluster : ClusterBytes;
        }

        host += inCluster;
        run = Math.Min(run, length);
        return 0;
    }

    private bool IsWritableTable(ulong offset) => (_l1[offset >> (_header.ClusterBits + L2Bits)] & Qcow2Spec.Copied) != 0;

    /// <summary>Writes into clusters that are new, or that were kept for zeroes. Under the lock.</summary>
    private int WriteNew(ref VectorCursor cursor, ulong offset, ulong length, out ulong done)
    {
        done = 0;
        int result = OwnTable(offset);
        byte* slice = null;
        int slot = 0, index = 0, entries = 0;
        result = result < 0 ? result : L2Slice(offset, out slice, out slot, out index, out entries);
        if (result < 0)
        {
            return result;
        }

        ulong start = offset & ~ClusterMask;
        ulong wanted = Math.Min((offset - start + length + ClusterMask) >> _header.ClusterBits, (ulong)(entries - index));
        ulong host;
        ulong count;
        bool isZero = false;
        bool isKept = IsOwnKept(TableCache.Entry(slice, index), out host);
        if (isKept)
        {
            count = 1;
            if (!IsPlausible(host) || _allocator!.IsMetadata(host))
            {
                return Corrupt($"its disk's offset {offset} lies at {host} of the file, where no data can be");
            }
        }
        else
        {
            ulong fresh = 1;
            while (fresh < wanted && NeedsNew(TableCache.Entry(slice, index + (int)fresh)))
            {
                fresh++;
            }

            result = _allocator!.Allocate(fresh, out host, out count, out isZero);
            if (result < 0)
            {
                return result;
            }
        }

        ulong end = start + (count << _header.ClusterBits);
        done = Math.Min(length, end - offset);
        result = Fill(start, offset - start, host, isZero);
        result = result < 0 ? result : cursor.WriteTo(_file, host + (offset - start), done);
        result = result < 0 ? result : Fill(offset + done, end - offset - done, host + (offset + done - start), isZero);
        if (result < 0)
        {
            if (!isKept)
            {
                _allocator!.Undo(host, count);
            }

            return result;
        }

        for (ulong i = 0; i < count; i++)
        {
            int at = index + (int)i;
            if (!isKept)
            {
                FreeEntry(TableCache.Entry(slice, at));
            }

            TableCache.SetEntry(slice, at, (host + (i << _header.ClusterBits)) | Qcow2Spec.Copied);
        }

        _l2.MarkDirty(slot);
        return 0;
    }

    private bool IsOwnKept(ulong entry, out ulong host)
    {
        host = entry & Qcow2Spec.OffsetMask;
        return Classify(entry) == ExtentKind.ZeroKept && (entry & Qcow2Spec.Copied) != 0;
    }

    private bool NeedsNew(ulong entry) => !IsOwnKept(entry, out _) && (Classify(entry) != ExtentKind.Data || (entry & Qcow2Spec.Copied) == 0);

    /// <summary>Copies what the disk has at an offset into a new cluster of the file. Within one cluster. Under the lock.</summary>
    /// <param name="isZero">The new cluster is zero already.</param>
    private int Fill(ulong offset, ulong length, ulong host, bool isZero)
    {
        if (length == 0)
        {
            return 0;
        }

        int result = Map(offset, length, out ExtentKind kind, out ulong from, out ulong run);
        if (result < 0)
        {
            return result;
        }

        if (kind is ExtentKind.Zero or ExtentKind.ZeroKept || (kind == ExtentKind.Backing && (Backing is null || offset >= Backing.Size)))
        {
            return isZero ? 0 : ZeroFill.Write(_file, host, length);
        }

        if (run != length)
        {
            return -Errno.EIO;
        }

        _bounce = _bounce == null ? (byte*)NativeMemory.Alloc((nuint)ClusterBytes) : _bounce;
        IoVec v = new() { Base = (nint)_bounce, Length = (nuint)length };
        VectorCursor read = new(&v, 1);
        result = kind switch
        {
            ExtentKind.Data => read.ReadFrom(_file, from, length),
            ExtentKind.Compressed => ReadCompressed(ref read, from, offset, length),
            _ => ReadBacking(ref read, offset, length),
        };
        return result < 0 ? result : new VectorCursor(&v, 1).WriteTo(_file, host, length);
    }

    /// <summary>Gives up what an L2 entry refers to, once the table without it is on stable storage.</summary>
    private void FreeEntry(ulong entry)
    {
        switch (Classify(entry))
        {
            case ExtentKind.Compressed:
                (ulong offset, ulong length) = ClusterDecompressor.Locate(entry, _header.ClusterBits);
                for (ulong at = offset & ~ClusterMask; at < offset + length; at += ClusterBytes)
                {
                    _allocator!.FreeLater(at);
                }

                break;
            case ExtentKind.Data or ExtentKind.ZeroKept:
                _allocator!.FreeLater(entry & Qcow2Spec.OffsetMask);
                break;
        }
    }

    /// <summary>Makes sure that an offset has an L2 table, and one that is not a snapshot's too. Under the lock.</summary>
    private int OwnTable(ulong offset)
    {
        int i = (int)(offset >> (_header.ClusterBits + L2Bits));
        ulong old = _l1[i] & Qcow2Spec.OffsetMask;
        if (old != 0 && (_l1[i] & Qcow2Spec.Copied) != 0)
        {
            return 0;
        }

        int result = _allocator!.Allocate(1, out ulong table, out _, out _);
        if (result < 0)
        {
            return result;
        }

        _l2.Forget(table, ClusterBytes);
        result = old == 0 ? ZeroFill.Write(_file, table, ClusterBytes) : CopyCluster(old, table);
        if (result < 0)
        {
            _allocator.Undo(table, 1);
            return result;
        }

        _allocator.AddMetadata(table);
        if (old != 0)
        {
            _allocator.FreeLater(old);
        }

        _l1[i] = table | Qcow2Spec.Copied;
        _firstDirtyL1 = Math.Min(_firstDirtyL1, i);
        _lastDirtyL1 = Math.Max(_lastDirtyL1, i);
        return 0;
    }

    private int CopyCluster(ulong from, ulong to)
    {
        _bounce = _bounce == null ? (byte*)NativeMemory.Alloc((nuint)ClusterBytes) : _bounce;
        IoVec v = new() { Base = (nint)_bounce, Length = (nuint)ClusterBytes };
        int result = new VectorCursor(&v, 1).ReadFrom(_file, from, ClusterBytes);
        return result < 0 ? result : new VectorCursor(&v, 1).WriteTo(_file, to, ClusterBytes);
    }
}
