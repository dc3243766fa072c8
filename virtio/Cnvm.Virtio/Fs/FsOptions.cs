namespace Cnvm.Virtio.Fs;

/// <summary>How a file system device is made.</summary>
public sealed record FsOptions
{
    /// <summary>Name in configuration and threads, for example <c>_fs0</c>.</summary>
    public required string Id { get; init; }

    /// <summary>What the guest mounts it by: 1 to 36 bytes of UTF-8.</summary>
    public required string Tag { get; init; }

    /// <summary>The folder of the host that is shared.</summary>
    public required string Path { get; init; }

    /// <summary>Every change is refused with EROFS.</summary>
    public bool IsReadOnly { get; init; }

    public FsCacheMode Cache { get; init; }

    /// <summary>Locks of the guest's programs and those of the host's exclude each other; otherwise they are the guest's own.</summary>
    public bool SharesLocks { get; init; }

    /// <summary>Users that have other numbers on the host; none means that all have the same. Only root's process may name any.</summary>
    public IReadOnlyList<IdRange> Users { get; init; } = [];

    /// <summary>The same for groups.</summary>
    public IReadOnlyList<IdRange> Groups { get; init; } = [];

    /// <summary>Request queues, each with a thread; 1 or more.</summary>
    public int RequestQueues { get; init; } = 1;

    /// <summary>Elements of each queue; a power of two.</summary>
    public ushort QueueSize { get; init; } = 1024;

    /// <summary>
    /// Host descriptors that the guest may bind: one for each file or directory that it remembers, and one for each that it has open.
    /// </summary>
    public int MaxDescriptors { get; init; } = 16 * 1024;

    /// <summary>Most nodes, and most handles, that a saved state may hold; null for what <see cref="MaxDescriptors"/> gives nodes.</summary>
    public int? MaxRestored { get; init; }
}
