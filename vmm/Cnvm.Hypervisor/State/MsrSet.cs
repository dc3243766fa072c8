using System.Collections;

namespace Cnvm.Hypervisor.State;

/// <summary>Numbers of model-specific registers, ascending, each once. Immutable; equal to another one with the same numbers.</summary>
public sealed class MsrSet : IReadOnlyList<uint>, IEquatable<MsrSet>
{
    private readonly uint[] _indices;

    /// <param name="indices">In any order.</param>
    public MsrSet(IEnumerable<uint> indices) => _indices = [.. new SortedSet<uint>(indices)];

    /// <summary>Nobody knows which there are.</summary>
    public static MsrSet Unknown { get; } = new([]);

    public int Count => _indices.Length;

    public uint this[int index] => _indices[index];

    public bool Contains(uint index) => Array.BinarySearch(_indices, index) >= 0;

    public IEnumerator<uint> GetEnumerator() => ((IEnumerable<uint>)_indices).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(MsrSet? other) => other is not null && _indices.AsSpan().SequenceEqual(other._indices);

    public override bool Equals(object? obj) => Equals(obj as MsrSet);

    public override int GetHashCode() => HashCode.Combine(Count, Count > 0 ? _indices[^1] : 0);
}
