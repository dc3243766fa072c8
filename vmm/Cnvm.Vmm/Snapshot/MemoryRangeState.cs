namespace Cnvm.Vmm.Snapshot;

/// <summary>One range of guest RAM.</summary>
public sealed record MemoryRangeState
{
    /// <summary>First guest-physical address.</summary>
    public required ulong Gpa { get; init; }

    /// <summary>Bytes; a multiple of 4096.</summary>
    public required ulong Size { get; init; }

    /// <summary>Memory zone; empty for plain RAM.</summary>
    public required string Zone { get; init; }

    /// <summary>False: other processes share the range through a file of its own, and that file keeps the contents.</summary>
    public required bool IsSaved { get; init; }

    /// <summary>Where the range begins in the memory file, in bytes; 0 if it is not there.</summary>
    public required ulong FileOffset { get; init; }

    /// <summary>CRC-32C of each chunk; empty if the range is not saved. What a difference leaves out counts as zeros.</summary>
    public required ulong[] Checksums { get; init; }

    /// <summary>Of a difference: one bit for each page of 4 KiB that it holds, least significant first; empty means all.</summary>
    public required ulong[] Pages { get; init; }
}
