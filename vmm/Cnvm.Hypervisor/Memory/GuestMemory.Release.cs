using Cnvm.Linux;

namespace Cnvm.Hypervisor.Memory;

/// <content>Pages that the guest does not need.</content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>
    /// Most times that a mapping is replaced: each may add two to the mappings of this process, of which the kernel allows some 65000, and
    /// the guest chooses the pages.
    /// </summary>
    private const int MaxReplacements = 8192;

    private int _replacements;

    /// <summary>
    /// Gives pages back to the host. They read as zero from now on, are marked dirty, and take memory again when somebody writes to them.
    /// </summary>
    /// <param name="gpa">First byte; with <paramref name="length"/> rounded inward to whole pages. What of them is no RAM is passed over.</param>
    /// <returns>Bytes that were given back: fewer where the host's mapping does not allow it (huge pages); 0 while pages are still to come.</returns>
    public ulong TryRelease(ulong gpa, ulong length)
    {
        const ulong PageMask = (1UL << DirtyBitmap.PageShift) - 1;
        ulong start = gpa > ulong.MaxValue - PageMask ? ulong.MaxValue : (gpa + PageMask) & ~PageMask;
        ulong end = (length > ulong.MaxValue - gpa ? ulong.MaxValue : gpa + length) & ~PageMask;
        ulong released = 0;
        if (Volatile.Read(ref _missing) is not null)
        {
            return 0;
        }

        foreach (RamRegion region in Regions)
        {
            ulong from = Math.Max(start, region.Gpa);
            ulong to = Math.Min(end, region.End);
            if (from < to && TryRelease(region, from, to - from))
            {
                MarkDirty(from, to - from);
                released += to - from;
            }
        }

        return released;
    }

    private bool TryRelease(RamRegion region, ulong gpa, ulong length)
    {
        // SAFETY: the range lies inside the region, which is mapped as long as this object lives.
        nint address = (nint)(_origin + gpa);
        return region.Release switch
        {
            RamRelease.Drop => Libc.madvise(address, (nuint)length, Libc.MADV_DONTNEED) == 0,
            RamRelease.PunchHole => Libc.madvise(address, (nuint)length, Libc.MADV_REMOVE) == 0,
            _ => TryReplace(address, length),
        };
    }

    private bool TryReplace(nint address, ulong length)
    {
        if (Interlocked.Increment(ref _replacements) > MaxReplacements)
        {
            return false;
        }

        // SAFETY: replaces part of this object's own mapping in one step; whoever has a pointer there finds memory at every moment.
        return Libc.mmap(
            address,
            (nuint)length,
            Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_FIXED | Libc.MAP_NORESERVE,
            -1,
            0) == address;
    }
}
