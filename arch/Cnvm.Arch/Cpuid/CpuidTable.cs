using System.Collections;

namespace Cnvm.Arch.Cpuid;

/// <summary>
/// A whole CPUID, ordered by leaf and subleaf and immutable. The table a guest was shown is part of its saved state.
/// </summary>
public sealed class CpuidTable : IReadOnlyList<CpuidEntry>, IEquatable<CpuidTable>
{
    private readonly CpuidEntry[] _entries;

    /// <exception cref="ArgumentException">Two entries answer for the same leaf and subleaf.</exception>
    public CpuidTable(IEnumerable<CpuidEntry> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        _entries = [.. entries];
        Array.Sort(_entries, static (a, b) => Key(a).CompareTo(Key(b)));
        for (int i = 1; i < _entries.Length; i++)
        {
            if (Key(_entries[i - 1]) == Key(_entries[i]))
            {
                throw new ArgumentException($"CPUID leaf 0x{_entries[i].Leaf:x} subleaf {_entries[i].Subleaf} stands twice", nameof(entries));
            }
        }
    }

    public int Count => _entries.Length;

    public CpuidEntry this[int index] => _entries[index];

    /// <summary>Finds the entry that answers for a leaf; a leaf without subleaves answers for every ECX.</summary>
    public bool TryGet(uint leaf, uint subleaf, out CpuidEntry entry)
    {
        foreach (ref readonly CpuidEntry e in _entries.AsSpan())
        {
            if (e.Leaf == leaf && (!e.HasSubleaf || e.Subleaf == subleaf))
            {
                entry = e;
                return true;
            }
        }

        entry = default;
        return false;
    }

    public ReadOnlySpan<CpuidEntry> AsSpan() => _entries;

    public IEnumerator<CpuidEntry> GetEnumerator() => ((IEnumerable<CpuidEntry>)_entries).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(CpuidTable? other) => other is not null && _entries.AsSpan().SequenceEqual(other._entries);

    public override bool Equals(object? obj) => Equals(obj as CpuidTable);

    public override int GetHashCode() => _entries.Length == 0 ? 0 : HashCode.Combine(_entries.Length, _entries[0], _entries[^1]);

    private static ulong Key(in CpuidEntry e) => ((ulong)e.Leaf << 32) | (e.HasSubleaf ? e.Subleaf : 0);
}
