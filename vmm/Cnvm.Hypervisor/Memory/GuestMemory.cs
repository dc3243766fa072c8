using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Cnvm.Arch;

namespace Cnvm.Hypervisor.Memory;

/// <summary>
/// Guest RAM. Every region lies at the same distance from its guest-physical address (host address = origin + GPA), so an
/// access costs one bounds check and one addition, and a buffer may cross regions that touch. Any thread.
/// </summary>
/// <remarks>
/// Devices that write RAM call <see cref="MarkDirty"/> after the write and before they tell the guest; together with the
/// hypervisor's own log this makes the dirty set complete.
/// </remarks>
public sealed unsafe partial class GuestMemory : IPhysicalMemory, IDisposable
{
    private readonly byte* _origin;
    private readonly IDisposable? _owner;
    private RamRegion[] _regions;
    private Range[] _ranges;
    private DirtyBitmap? _deviceWrites;
    private MissingPages? _missing;
    private IWriteMarks? _marks;

    /// <param name="origin">Host address of GPA 0 (which itself need not be mapped).</param>
    /// <param name="regions">RAM, in ascending order, each mapped at origin + GPA.</param>
    /// <param name="owner">Owns the host mappings; disposed with this object.</param>
    /// <exception cref="ArgumentException">Regions overlap, are unaligned, or lie elsewhere.</exception>
    public GuestMemory(nint origin, IReadOnlyList<RamRegion> regions, IDisposable? owner)
    {
        ArgumentNullException.ThrowIfNull(regions);
        // SAFETY: only stored; dereferenced after a check against the regions that the owner mapped.
        _origin = (byte*)origin;
        _owner = owner;
        _regions = [.. regions];
        _ranges = Join(origin, _regions);
    }

    /// <summary>RAM in ascending order of address. It only grows: <see cref="Add"/> puts a region behind the others.</summary>
    public IReadOnlyList<RamRegion> Regions => Volatile.Read(ref _regions);

    /// <summary>
    /// The guest has got more memory. Whoever asks from now on finds it; nobody records what is written (<see cref="StartDirtyTracking"/>),
    /// because a record is of the regions that there were when it began.
    /// </summary>
    /// <param name="region">Behind all others, mapped at its place by the owner of the mappings.</param>
    /// <exception cref="ArgumentException">It overlaps, is unaligned, or lies elsewhere.</exception>
    /// <exception cref="InvalidOperationException">What devices write is being recorded.</exception>
    public void Add(RamRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        lock (_logGate)
        {
            if (_deviceWrites is not null)
            {
                throw new InvalidOperationException("memory cannot be added while it is recorded who writes to it");
            }

            RamRegion[] regions = [.. _regions, region];
            Range[] ranges = Join((nint)_origin, regions);
            Volatile.Write(ref _regions, regions);
            Volatile.Write(ref _ranges, ranges);
        }
    }

    /// <summary>Regions that touch are one range.</summary>
    private static Range[] Join(nint origin, RamRegion[] regions)
    {
        var ranges = new List<Range>();
        foreach (RamRegion r in regions)
        {
            if (r.Size == 0 || ((r.Gpa | r.Size) & 0xfff) != 0 || r.End < r.Gpa || r.HostAddress != origin + (nint)r.Gpa)
            {
                throw new ArgumentException($"RAM region 0x{r.Gpa:x}+0x{r.Size:x} is empty, unaligned or not at its place", nameof(regions));
            }

            if (ranges.Count > 0 && r.Gpa < ranges[^1].End)
            {
                throw new ArgumentException($"RAM region 0x{r.Gpa:x}+0x{r.Size:x} overlaps the one before it", nameof(regions));
            }

            if (ranges.Count > 0 && r.Gpa == ranges[^1].End)
            {
                ranges[^1] = new Range(ranges[^1].Start, r.End);
            }
            else
            {
                ranges.Add(new Range(r.Gpa, r.End));
            }
        }

        return [.. ranges];
    }

    /// <summary>Bytes of RAM.</summary>
    public ulong Size
    {
        get
        {
            ulong size = 0;
            foreach (Range r in _ranges)
            {
                size += r.End - r.Start;
            }

            return size;
        }
    }

    /// <summary>The bytes at a GPA, or false when they are not all RAM. The way for addresses that the guest gave.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetSpan(ulong gpa, uint length, out Span<byte> span)
    {
        if (length <= int.MaxValue && Contains(gpa, length))
        {
            Volatile.Read(ref _missing)?.Wait(gpa, length);

            // SAFETY: the range was just found inside mapped RAM, and mappings live as long as this object.
            span = new Span<byte>(_origin + gpa, (int)length);
            return true;
        }

        span = default;
        return false;
    }

    /// <summary>Host address of a range for system calls (iovec, io_uring), or false when it is not all RAM.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetPointer(ulong gpa, ulong length, out nint address)
    {
        bool inside = Contains(gpa, length);
        if (inside)
        {
            Volatile.Read(ref _missing)?.Wait(gpa, length);
        }

        // SAFETY: address arithmetic only; the result is given out for ranges inside RAM alone.
        address = inside ? (nint)(_origin + gpa) : 0;
        return inside;
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(ulong gpa, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (!TryGetSpan(gpa, (uint)length, out Span<byte> span))
        {
            ThrowOutside(gpa, (ulong)length);
        }

        return span;
    }

    /// <summary>True when every byte of the range is RAM.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Contains(ulong gpa, ulong length)
    {
        foreach (ref readonly Range r in _ranges.AsSpan())
        {
            // Subtractions cannot wrap: gpa is at or above the start, and at or below the end.
            if (gpa >= r.Start && gpa <= r.End && length <= r.End - gpa)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Every access through this object waits from now on until the pages that it touches have come; while it is so, nothing is given back
    /// to the host (<see cref="TryRelease(ulong, ulong)"/>). Null: all are here.
    /// </summary>
    public void Await(MissingPages? missing) => Volatile.Write(ref _missing, missing);

    /// <summary>Records that a device wrote the range. Free while nobody tracks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MarkDirty(ulong gpa, ulong length)
    {
        Volatile.Read(ref _deviceWrites)?.Mark(gpa, length);
        Volatile.Read(ref _marks)?.Mark(gpa, length);
    }

    /// <summary>Has what <see cref="MarkDirty"/> records go elsewhere, too, where another process reads it; null: no more.</summary>
    public void PassMarksTo(IWriteMarks? marks) => Volatile.Write(ref _marks, marks);

    public void Dispose() => _owner?.Dispose();

    [DoesNotReturn]
    private static void ThrowOutside(ulong gpa, ulong length) => throw new GuestAddressException(gpa, length);

    private readonly record struct Range(ulong Start, ulong End);
}
