using System.Diagnostics.CodeAnalysis;

namespace Cnvm.Arch.Cpuid;

/// <summary>A CPUID that is being worked on.</summary>
internal sealed class CpuidDraft(CpuidTable table)
{
    private readonly List<CpuidEntry> _entries = [.. table];

    public CpuidTable ToTable() => new(_entries);

    public bool TryGet(uint leaf, uint subleaf, [MaybeNullWhen(false)] out CpuidEntry entry)
    {
        var index = IndexOf(leaf, subleaf);
        entry = index < 0 ? default : _entries[index];
        return index >= 0;
    }

    /// <summary>Replaces or adds an entry.</summary>
    public void Set(CpuidEntry entry)
    {
        var index = IndexOf(entry.Leaf, entry.Subleaf);
        if (index < 0)
        {
            _entries.Add(entry);
        }
        else
        {
            _entries[index] = entry;
        }
    }

    public void Remove(uint leaf) => _entries.RemoveAll(e => e.Leaf == leaf);

    public void Remove(Predicate<CpuidEntry> match) => _entries.RemoveAll(match);

    /// <summary>Changes every entry of a leaf; none if the leaf is missing.</summary>
    public void Change(uint leaf, Func<CpuidEntry, CpuidEntry> change)
    {
        for (var i = 0; i < _entries.Count; i++)
        {
            if (_entries[i].Leaf == leaf)
            {
                _entries[i] = change(_entries[i]);
            }
        }
    }

    private int IndexOf(uint leaf, uint subleaf) =>
        _entries.FindIndex(e => e.Leaf == leaf && (!e.HasSubleaf || e.Subleaf == subleaf));
}
