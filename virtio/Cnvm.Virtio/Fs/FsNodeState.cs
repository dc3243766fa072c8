namespace Cnvm.Virtio.Fs;

/// <summary>A file or directory that the driver has a number for.</summary>
public sealed record FsNodeState
{
    public required ulong Id { get; init; }

    /// <summary>How often the driver was told of it, less what it forgot.</summary>
    public required ulong Lookups { get; init; }

    /// <summary>The bits of S_IFMT.</summary>
    public required uint Type { get; init; }

    /// <summary>st_dev.</summary>
    public required ulong Device { get; init; }

    /// <summary>st_ino.</summary>
    public required ulong Inode { get; init; }

    /// <summary>Path relative to the shared folder, as the host's bytes; empty: it has no name any more, and is ESTALE after a restore.</summary>
    public required byte[] Path { get; init; }
}
