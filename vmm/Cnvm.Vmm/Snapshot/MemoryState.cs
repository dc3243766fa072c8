namespace Cnvm.Vmm.Snapshot;

/// <summary>Where guest RAM is and what of it lies in the memory file.</summary>
public sealed record MemoryState
{
    /// <summary>In ascending order of address, not overlapping.</summary>
    public required MemoryRangeState[] Ranges { get; init; }

    /// <summary>Id of the snapshot that this one is the difference to; null for a full one.</summary>
    public byte[]? Parent { get; init; }

    /// <summary>Bytes of guest RAM that one checksum covers; a multiple of the page size.</summary>
    public required uint ChunkBytes { get; init; }

    /// <summary>Null where the memory file is not compressed.</summary>
    public CompressionState? Zstd { get; init; }
}
