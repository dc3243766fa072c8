namespace Cnvm.Arch.Machine;

/// <summary>A run of guest physical addresses. <see cref="Length"/> is 0 for an empty range.</summary>
public readonly record struct AddressRange(ulong Start, ulong Length)
{
    /// <summary>First address behind the range.</summary>
    public ulong End => Start + Length;

    /// <summary>Whether <paramref name="address"/> lies inside.</summary>
    public bool Contains(ulong address) => address - Start < Length;

    /// <summary>Whether the two ranges share an address.</summary>
    public bool Overlaps(AddressRange other) => Length != 0 && other.Length != 0 && Start < other.End && other.Start < End;

    /// <summary>The range that ends before <paramref name="end"/>.</summary>
    public static AddressRange Between(ulong start, ulong end) => new(start, checked(end - start));

    /// <inheritdoc/>
    public override string ToString() => $"[0x{Start:x}, 0x{End:x})";
}
