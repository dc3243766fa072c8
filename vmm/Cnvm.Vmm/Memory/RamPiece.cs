using Cnvm.Linux;

namespace Cnvm.Vmm.Memory;

/// <summary>One piece of RAM to allocate: where the guest sees it and what should be behind it.</summary>
/// <param name="Gpa">First guest-physical address; page aligned.</param>
/// <param name="Size">Bytes; a multiple of the page size behind it.</param>
public sealed record RamPiece(ulong Gpa, ulong Size)
{
    /// <summary>Zone id for messages and saved state; null for plain RAM.</summary>
    public string? ZoneId { get; init; }

    /// <summary>Other processes can map it: a memory file mapped shared, rather than private anonymous memory.</summary>
    public bool Shared { get; init; }

    /// <summary>Back it with this file (created and extended if need be); null for memory of its own.</summary>
    public string? File { get; init; }

    /// <summary>Where the piece starts in <see cref="File"/>, in bytes.</summary>
    public ulong FileOffset { get; init; }

    /// <summary>
    /// A file whose bytes the piece starts with, mapped so that the guest's writes stay in this process; null for zeros. Not together with
    /// <see cref="File"/>, <see cref="Shared"/> or <see cref="HugePages"/>.
    /// </summary>
    public string? Image { get; init; }

    /// <summary>Where the piece starts in <see cref="Image"/>, in bytes.</summary>
    public ulong ImageOffset { get; init; }

    /// <summary>
    /// The file itself, which another process has handed over, rather than a new one or the one at <see cref="File"/>, which is not looked at;
    /// owned by the memory. With <see cref="Shared"/> only.
    /// </summary>
    public FileDescriptor? Handed { get; init; }

    /// <summary>Use huge pages from the host's pool.</summary>
    public bool HugePages { get; init; }

    /// <summary>Size of those huge pages in bytes; 0 means the host's default size.</summary>
    public ulong HugePageSize { get; init; }

    /// <summary>Touch every page before the guest starts.</summary>
    public bool Prefault { get; init; }

    /// <summary>Account for all of it now (no overcommit).</summary>
    public bool Reserve { get; init; }

    /// <summary>Offer the pages to the host's same-page merging (KSM).</summary>
    public bool Mergeable { get; init; }

    /// <summary>Let the host use transparent huge pages.</summary>
    public bool TransparentHugePages { get; init; } = true;
}
