using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Where a memory file has data, for those who go through it chunk by chunk: each extent is asked for once, because the kernel looks at
/// every page of it.
/// </summary>
internal sealed class DataExtents(SafeHandle file)
{
    // The last extent found, and from where it was searched for.
    private long _searched = long.MaxValue;
    private long _start;
    private long _end;

    /// <inheritdoc cref="SparseFile.TryFindData"/>
    public bool TryFind(long offset, long end, out long start, out long length)
    {
        if (offset < _searched || offset >= _end)
        {
            bool found = SparseFile.TryFindData(file, offset, long.MaxValue, out _start, out length);
            _searched = offset;
            _end = found ? _start + length : long.MaxValue;
            _start = found ? _start : long.MaxValue;
        }

        start = Math.Max(offset, _start);
        length = Math.Min(end, _end) - start;
        return start < end;
    }
}
