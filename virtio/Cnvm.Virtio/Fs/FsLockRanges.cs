using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>What one owner has locked of one file: ascending, nothing twice, and what touches and is of one type is one. Not thread-safe.</summary>
internal sealed class FsLockRanges
{
    private List<FsLockRange> _ranges = [];
    private List<FsLockRange> _planned = [];

    public int Count => _ranges.Count;

    public ReadOnlySpan<FsLockRange> All => CollectionsMarshal.AsSpan(_ranges);

    /// <summary>Works out what there will be after a change, which nothing shows before <see cref="Commit"/>.</summary>
    /// <returns>How many ranges there will be: at most two more.</returns>
    public int Plan(in FsLockRange change)
    {
        _planned.Clear();
        bool isPlaced = change.Type == FileLocks.F_UNLCK;
        foreach (FsLockRange range in _ranges)
        {
            if (range.Start < change.Start)
            {
                Append(range with { End = Math.Min(range.End, change.Start - 1) });
            }

            if (range.End > change.End)
            {
                if (!isPlaced)
                {
                    Append(change);
                    isPlaced = true;
                }

                Append(range with { Start = Math.Max(range.Start, change.End + 1) });
            }
        }

        if (!isPlaced)
        {
            Append(change);
        }

        return _planned.Count;
    }

    /// <summary>Makes what was planned last what there is.</summary>
    public void Commit() => (_ranges, _planned) = (_planned, _ranges);

    private void Append(in FsLockRange range)
    {
        if (_planned.Count > 0 && _planned[^1] is var last && last.Type == range.Type && last.End == range.Start - 1)
        {
            _planned[^1] = last with { End = range.End };
            return;
        }

        _planned.Add(range);
    }
}
