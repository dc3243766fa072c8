using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <content>Discarding, and writing zeroes.</content>
internal sealed unsafe partial class Qcow2Layer
{
    /// <summary>Gives up the contents of a range. Clusters that are only partly in it stay as they are.</summary>
    public int Discard(ulong offset, ulong length)
    {
        ulong first = (offset + ClusterMask) & ~ClusterMask;
        ulong end = WholeClusters(offset + length);
        return first >= end ? 0 : ZeroClusters(first, end - first, ZeroMode.Discard);
    }

    /// <summary>Makes a range zero.</summary>
    /// <param name="mayFree">Its clusters may be given up.</param>
    public int WriteZeroes(ulong offset, ulong length, bool mayFree)
    {
        ulong end = offset + length;
        ulong first = (offset + ClusterMask) & ~ClusterMask;
        ulong last = WholeClusters(end);
        if (first >= last)
        {
            return ZeroPart(offset, length);
        }

        int result = ZeroPart(offset, first - offset);
        result = result < 0 ? result : ZeroClusters(first, last - first, mayFree ? ZeroMode.Free : ZeroMode.Keep);
        return result < 0 || last >= end ? result : ZeroPart(last, end - last);
    }

    /// <summary>The last cluster of a disk counts as whole where the disk ends in it.</summary>
    private ulong WholeClusters(ulong end) => end == Size ? (end + ClusterMask) & ~ClusterMask : end & ~ClusterMask;

    /// <summary>Zeroes a part of a cluster, or what cannot be marked as zero, as data.</summary>
    private int ZeroPart(ulong offset, ulong length)
    {
        while (length > 0)
        {
            ulong run;
            lock (_gate)
            {
                Enter();
                int result = Map(offset, length, out ExtentKind kind, out _, out run);
                if (result < 0 || _isCorrupt)
                {
                    return -Errno.EIO;
                }

                bool isZero = kind is ExtentKind.Zero or ExtentKind.ZeroKept || (kind == ExtentKind.Backing && (Backing is null || offset >= Backing.Size));
                if (isZero)
                {
                    offset += run;
                    length -= run;
                    continue;
                }
            }

            IoVec zeroes = ZeroFill.Vector(run);
            VectorCursor cursor = new(&zeroes, 1);
            int written = Write(ref cursor, offset, zeroes.Length);
            if (written < 0)
            {
                return written;
            }

            offset += zeroes.Length;
            length -= zeroes.Length;
        }

        return 0;
    }

    private int ZeroClusters(ulong offset, ulong length, ZeroMode mode)
    {
        while (length > 0)
        {
            ulong done;
            bool asData;
            lock (_gate)
            {
                Enter();
                int result = ZeroSlice(offset, length, mode, out done, out asData);
                if (result < 0)
                {
                    return result;
                }
            }

            if (asData && mode != ZeroMode.Discard)
            {
                int result = ZeroPart(offset, Math.Min(done, Size - offset));
                if (result < 0)
                {
                    return result;
                }
            }

            offset += done;
            length -= done;
        }

        return 0;
    }

    /// <summary>Marks clusters of one slice as zero, as far as they are alike. Under the lock.</summary>
    /// <param name="asData">They were left as they were: the format has no way to say that they are zero.</param>
    private int ZeroSlice(ulong offset, ulong length, ZeroMode mode, out ulong done, out bool asData)
    {
        done = 0;
        asData = false;
        int result = MakeRoom();
        byte* slice = null;
        int slot = 0, index = 0, entries = 0;
        result = result < 0 ? result : L2Slice(offset, out slice, out slot, out index, out entries);
        if (result < 0)
        {
            return result;
        }

        int count = (int)Math.Min(length >> _header.ClusterBits, (ulong)(entries - index));
        bool hasBacking = Backing is not null && offset < Backing.Size;
        if (slice == null && !hasBacking)
        {
            done = (ulong)count << _header.ClusterBits;
            return 0;
        }

        if (!IsVersion3 && hasBacking)
        {
            // Version 2 cannot say that a cluster is zero in front of a backing file.
            asData = true;
            done = (ulong)count << _header.ClusterBits;
            return 0;
        }

        for (int i = 0; i < count; i++)
        {
            ulong entry = slice == null ? 0 : TableCache.Entry(slice, index + i);
            ulong zero = ZeroEntry(entry, mode, hasBacking, out bool isData);
            if (isData != asData && i > 0)
            {
                break;
            }

            asData = isData;
            done += ClusterBytes;
            if (isData || zero == entry)
            {
                continue;
            }

            if (slice == null || !IsWritableTable(offset))
            {
                result = OwnTable(offset);
                result = result < 0 ? result : L2Slice(offset, out slice, out slot, out index, out entries);
                if (result < 0)
                {
                    return result;
                }
            }

            if ((zero & Qcow2Spec.OffsetMask) == 0)
            {
                FreeEntry(entry);
            }

            TableCache.SetEntry(slice, index + i, zero);
            _l2.MarkDirty(slot);
        }

        return 0;
    }

    /// <summary>The L2 entry of a cluster that has become zero.</summary>
    /// <param name="isData">There is none: zeroes have to be written.</param>
    private ulong ZeroEntry(ulong entry, ZeroMode mode, bool hasBacking, out bool isData)
    {
        ulong nothing = hasBacking ? Qcow2Spec.Zero : 0;
        isData = false;
        switch (Classify(entry))
        {
            case ExtentKind.Backing:
                return nothing;
            case ExtentKind.Zero:
                return entry;
            case ExtentKind.Data when mode == ZeroMode.Keep && (entry & Qcow2Spec.Copied) != 0:
                isData = !IsVersion3;
                return entry | Qcow2Spec.Zero;
            case ExtentKind.ZeroKept when mode == ZeroMode.Keep:
                return entry;
            default:
                return nothing;
        }
    }
}
