using System.Numerics;

namespace Cnvm.Hypervisor.Memory;

/// <summary>One bit per 4 KiB page of every RAM region, in region order. Bits are set with atomic operations.</summary>
public sealed class DirtyBitmap
{
    /// <summary>log2 of the page size that dirty tracking works in.</summary>
    public const int PageShift = 12;

    private readonly RamRegion[] _regions;
    private readonly ulong[][] _words;

    public DirtyBitmap(IEnumerable<RamRegion> regions)
    {
        _regions = [.. regions];
        _words = [.. _regions.Select(r => new ulong[((r.Size >> PageShift) + 63) / 64])];
    }

    public IReadOnlyList<RamRegion> Regions => _regions;

    /// <summary>Index of a region here.</summary>
    /// <exception cref="ArgumentException">The bitmap was made without this region.</exception>
    public int IndexOf(RamRegion region)
    {
        for (int i = 0; i < _regions.Length; i++)
        {
            if (_regions[i].Gpa == region.Gpa && _regions[i].Size == region.Size)
            {
                return i;
            }
        }

        throw new ArgumentException($"the bitmap has no region at 0x{region.Gpa:x}..0x{region.End:x}", nameof(region));
    }

    /// <summary>Marks every page that the range touches; what lies outside the regions is ignored.</summary>
    public void Mark(ulong gpa, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        ulong end = length > ulong.MaxValue - gpa ? ulong.MaxValue : gpa + length;
        for (int i = 0; i < _regions.Length; i++)
        {
            RamRegion r = _regions[i];
            if (gpa >= r.End || end <= r.Gpa)
            {
                continue;
            }

            ulong first = (Math.Max(gpa, r.Gpa) - r.Gpa) >> PageShift;
            ulong last = (Math.Min(end, r.End) - 1 - r.Gpa) >> PageShift;
            for (ulong page = first; page <= last; page++)
            {
                MarkPage(i, page);
            }
        }
    }

    /// <summary>Marks one page, counted from the start of a region.</summary>
    public void MarkPage(int region, ulong page)
    {
        ref ulong word = ref _words[region][page >> 6];
        ulong bit = 1UL << (int)(page & 63);
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            Interlocked.Or(ref word, bit);
        }
    }

    /// <summary>The same; true if this call has marked it.</summary>
    public bool TryMarkPage(int region, ulong page)
    {
        ulong bit = 1UL << (int)(page & 63);
        return (Interlocked.Or(ref _words[region][page >> 6], bit) & bit) == 0;
    }

    /// <summary>ORs a log of one region in, least significant bit first, as KVM_GET_DIRTY_LOG returns it.</summary>
    public void Merge(int region, ReadOnlySpan<ulong> log)
    {
        Span<ulong> words = _words[region];
        ArgumentOutOfRangeException.ThrowIfGreaterThan(log.Length, words.Length, nameof(log));
        for (int i = 0; i < log.Length; i++)
        {
            if (log[i] != 0)
            {
                Interlocked.Or(ref words[i], log[i]);
            }
        }
    }

    /// <summary>Moves every bit of <paramref name="source"/> (same regions) here and clears it there.</summary>
    public void TakeFrom(DirtyBitmap source)
    {
        for (int i = 0; i < _words.Length; i++)
        {
            ulong[] from = source._words[i];
            for (int w = 0; w < from.Length; w++)
            {
                if (Volatile.Read(ref from[w]) != 0)
                {
                    Interlocked.Or(ref _words[i][w], Interlocked.Exchange(ref from[w], 0));
                }
            }
        }
    }

    /// <summary>Takes one word of a region out of the bitmap; bit n of word w is page 64 w + n.</summary>
    public ulong TakeWord(int region, int word) => Interlocked.Exchange(ref _words[region][word], 0);

    public bool IsDirty(int region, ulong page) => (Volatile.Read(ref _words[region][page >> 6]) & (1UL << (int)(page & 63))) != 0;

    /// <summary>Words of one region; bit n of word w is page 64 w + n.</summary>
    public ReadOnlySpan<ulong> Words(int region) => _words[region];

    /// <summary>Number of dirty pages.</summary>
    public long CountPages()
    {
        long pages = 0;
        foreach (ulong[] words in _words)
        {
            foreach (ulong word in words)
            {
                pages += BitOperations.PopCount(word);
            }
        }

        return pages;
    }

    public void Clear()
    {
        foreach (ulong[] words in _words)
        {
            Array.Clear(words);
        }
    }
}
