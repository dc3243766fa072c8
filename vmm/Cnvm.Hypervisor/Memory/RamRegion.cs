namespace Cnvm.Hypervisor.Memory;

/// <summary>One contiguous piece of guest RAM, backed by one host mapping.</summary>
/// <param name="Gpa">First guest-physical address; page aligned.</param>
/// <param name="Size">Bytes; a multiple of the page size, not zero.</param>
/// <param name="HostAddress">Where the region starts in this process.</param>
public sealed record RamRegion(ulong Gpa, ulong Size, nint HostAddress)
{
    /// <summary>Descriptor of the memory file behind the region, or -1 for anonymous memory. Owned by the allocator.</summary>
    public int BackingFd { get; init; } = -1;

    /// <summary>Offset of the region in its backing file, in bytes.</summary>
    public long BackingOffset { get; init; }

    /// <summary>Private anonymous memory of small pages: what was never touched reads as zeros, and nobody else can write it.</summary>
    public bool IsAnonymous { get; init; }

    /// <summary>How pages are given back to the host so that they read as zero.</summary>
    public RamRelease Release { get; init; }

    /// <summary>Memory zone the region belongs to; null for the machine's plain RAM.</summary>
    public string? ZoneId { get; init; }

    /// <summary>One past the last guest-physical address.</summary>
    public ulong End => Gpa + Size;
}
