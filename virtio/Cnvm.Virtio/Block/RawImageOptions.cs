namespace Cnvm.Virtio.Block;

/// <summary>How a raw image is opened.</summary>
public sealed record RawImageOptions
{
    /// <summary>A regular file or a block device.</summary>
    public required string Path { get; init; }

    public bool IsReadOnly { get; init; }

    /// <summary>Past the host's page cache (O_DIRECT).</summary>
    public bool IsDirect { get; init; }

    /// <summary>Discards give space back to the host.</summary>
    public bool IsSparse { get; init; } = true;

    /// <summary>Locks the whole file for ever, whatever its size becomes; otherwise the bytes that it has now.</summary>
    public bool LockWholeFile { get; init; }

    /// <summary>No lock is taken, and whoever else has one is no matter. For those who only look.</summary>
    public bool IsUnlocked { get; init; }

    /// <summary>Uses threads even where the kernel has io_uring.</summary>
    public bool DisableIoUring { get; init; }
}
