using System.Numerics;

namespace Cnvm.Hypervisor.Memory;

/// <summary>
/// Pages of guest RAM that are still at the source of a post-copy migration, and who waits for them. This program's own accesses wait here,
/// before they touch the page, and not in a page fault: a thread in a fault could not be stopped for a garbage collection, which the
/// thread that brings the page may need. Any thread.
/// </summary>
public sealed class MissingPages
{
    // Waited on, so a plain object.
    private readonly object _gate = new();
    private readonly RamRegion[] _regions;
    private readonly ulong[][] _words;
    private readonly HashSet<ulong> _wanted = [];
    private readonly Action<ulong> _want;
    private long _count;
    private string? _givenUp;

    /// <param name="want">Told once of each page, by its address, that somebody needs. Must not wait; called under a lock.</param>
    public MissingPages(IEnumerable<RamRegion> regions, Action<ulong> want)
    {
        _regions = [.. regions];
        _words = [.. _regions.Select(r => new ulong[((r.Size >> DirtyBitmap.PageShift) + 63) / 64])];
        _want = want;
    }

    /// <summary>Pages that have not come.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>Pages that somebody waits for.</summary>
    public ulong[] Wanted
    {
        get
        {
            lock (_gate)
            {
                return [.. _wanted];
            }
        }
    }

    /// <summary>Words of one region; bit n of word w is page 64 w + n.</summary>
    public ReadOnlySpan<ulong> Words(int region) => _words[region];

    /// <summary>Adds a page, before anybody waits.</summary>
    /// <param name="gpa">In RAM.</param>
    public void Add(ulong gpa)
    {
        (int region, ulong page) = Find(gpa);
        ref ulong word = ref _words[region][page >> 6];
        ulong bit = 1UL << (int)(page & 63);
        if ((word & bit) == 0)
        {
            word |= bit;
            _count++;
        }
    }

    /// <param name="gpa">In RAM.</param>
    public bool Contains(ulong gpa)
    {
        (int region, ulong page) = Find(gpa);
        return (Volatile.Read(ref _words[region][page >> 6]) & (1UL << (int)(page & 63))) != 0;
    }

    /// <summary>A page has come and is in its place.</summary>
    /// <param name="gpa">In RAM; page aligned.</param>
    public void Remove(ulong gpa)
    {
        (int region, ulong page) = Find(gpa);
        ulong bit = 1UL << (int)(page & 63);
        if ((Interlocked.And(ref _words[region][page >> 6], ~bit) & bit) == 0)
        {
            return;
        }

        Interlocked.Decrement(ref _count);
        lock (_gate)
        {
            if (_wanted.Remove(gpa))
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Somebody needs a page: asks for it, once. False if it is here.</summary>
    public bool Want(ulong gpa)
    {
        gpa &= ~((1UL << DirtyBitmap.PageShift) - 1);
        lock (_gate)
        {
            if (!Contains(gpa))
            {
                return false;
            }

            if (_wanted.Add(gpa))
            {
                _want(gpa);
            }

            return true;
        }
    }

    /// <summary>Waits until all pages that a range touches are here.</summary>
    /// <param name="gpa">The range is RAM.</param>
    /// <exception cref="IOException">They will not come: <see cref="GiveUp"/>.</exception>
    public void Wait(ulong gpa, ulong length)
    {
        const ulong PageMask = (1UL << DirtyBitmap.PageShift) - 1;
        if (length == 0 || Count == 0)
        {
            return;
        }

        ulong last = (gpa + length - 1) & ~PageMask;
        for (ulong page = gpa & ~PageMask; page <= last; page += PageMask + 1)
        {
            _ = TryWait(page, Timeout.Infinite);
        }
    }

    /// <summary>Waits for the page of an address; false after the time.</summary>
    /// <param name="gpa">In RAM.</param>
    /// <exception cref="IOException">It will not come: <see cref="GiveUp"/>.</exception>
    public bool TryWait(ulong gpa, int milliseconds)
    {
        if (!Contains(gpa))
        {
            return true;
        }

        lock (_gate)
        {
            while (Want(gpa))
            {
                if (_givenUp is { } reason)
                {
                    throw new IOException($"memory of the guest is missing: {reason}");
                }

                if (!Monitor.Wait(_gate, milliseconds))
                {
                    return !Contains(gpa);
                }
            }

            return true;
        }
    }

    /// <summary>
    /// No page comes any more: who waits, or will, gets an exception. Only for a machine that is taken apart: the host's fault handler, if
    /// there is one, goes on to hold those who wait in the kernel.
    /// </summary>
    public void GiveUp(string reason)
    {
        lock (_gate)
        {
            _givenUp ??= reason;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Pages of a region that follow each other, from the first one at or behind <paramref name="page"/>; 0 pages at the end.</summary>
    public (ulong First, ulong Pages) NextRun(int region, ulong page)
    {
        ulong end = _regions[region].Size >> DirtyBitmap.PageShift;
        ulong first = Scan(region, page, end, isMissing: true);
        return (first, Scan(region, first, end, isMissing: false) - first);
    }

    private ulong Scan(int region, ulong page, ulong end, bool isMissing)
    {
        while (page < end)
        {
            ulong word = Volatile.Read(ref _words[region][page >> 6]);
            word = (isMissing ? word : ~word) & (ulong.MaxValue << (int)(page & 63));
            if (word != 0)
            {
                return Math.Min(end, (page & ~63UL) + (ulong)BitOperations.TrailingZeroCount(word));
            }

            page = (page & ~63UL) + 64;
        }

        return end;
    }

    private (int Region, ulong Page) Find(ulong gpa)
    {
        for (int i = 0; i < _regions.Length; i++)
        {
            RamRegion r = _regions[i];
            if (gpa >= r.Gpa && gpa < r.End)
            {
                return (i, (gpa - r.Gpa) >> DirtyBitmap.PageShift);
            }
        }

        throw new ArgumentOutOfRangeException(nameof(gpa), gpa, "no RAM");
    }
}
