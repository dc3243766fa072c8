using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>Deals the pages of a bitmap out, each once, to those who send them. Any thread.</summary>
internal sealed class PageStretches(DirtyBitmap pages)
{
    /// <summary>16 MiB: connections stay busy with a few, and one that is slow holds nobody up for long.</summary>
    private const int WordsPerStretch = 64;

    private readonly Lock _gate = new();
    private int _region;
    private int _word;

    public DirtyBitmap Pages => pages;

    /// <summary>The next stretch of words of a region; false if there is none left.</summary>
    public bool TryTake(out int region, out int first, out int end)
    {
        lock (_gate)
        {
            while (_region < pages.Regions.Count)
            {
                int length = pages.Words(_region).Length;
                if (_word < length)
                {
                    (region, first) = (_region, _word);
                    end = _word = Math.Min(_word + WordsPerStretch, length);
                    return true;
                }

                _region++;
                _word = 0;
            }
        }

        (region, first, end) = (0, 0, 0);
        return false;
    }
}
