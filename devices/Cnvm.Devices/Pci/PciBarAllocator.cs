namespace Cnvm.Devices.Pci;

/// <summary>
/// Hands out aligned pieces of one address window, lowest address first. It decides where a region is placed before the guest
/// says otherwise; where the guest moves it is the guest's affair. Not thread-safe: its owner locks.
/// </summary>
public sealed class PciBarAllocator(AddressWindow window)
{
    // By rising base.
    private readonly List<AddressWindow> _used = [];

    public AddressWindow Window { get; } = window;

    /// <summary>The base of so many free bytes at a multiple of <paramref name="alignment"/>; null if there are none.</summary>
    /// <param name="alignment">A power of two.</param>
    public ulong? Allocate(ulong size, ulong alignment)
    {
        if (size == 0 || alignment == 0 || !ulong.IsPow2(alignment))
        {
            throw new ArgumentOutOfRangeException(nameof(alignment), "a piece needs a size, and a power of two as alignment");
        }

        ulong candidate = AlignUp(Window.Base, alignment);
        int at = 0;
        for (; at < _used.Count; at++)
        {
            if (candidate >= Window.Base && candidate <= _used[at].Base && size <= _used[at].Base - candidate)
            {
                break;
            }

            ulong end = _used[at].Base + _used[at].Size;
            if (end > candidate)
            {
                candidate = AlignUp(end, alignment);
            }
        }

        if (!Window.Contains(candidate, size))
        {
            return null;
        }

        _used.Insert(at, new AddressWindow(candidate, size));
        return candidate;
    }

    /// <summary>Gives a piece back.</summary>
    /// <exception cref="ArgumentException">No piece was allocated at <paramref name="start"/>.</exception>
    public void Free(ulong start)
    {
        int at = _used.FindIndex(piece => piece.Base == start);
        if (at < 0)
        {
            throw new ArgumentException($"nothing is allocated at 0x{start:x}", nameof(start));
        }

        _used.RemoveAt(at);
    }

    // Wraps to 0 at the top of the address space, which no window contains.
    private static ulong AlignUp(ulong value, ulong alignment) => unchecked((value + alignment - 1) & ~(alignment - 1));
}
