using Cnvm.Virtio.RateLimits;

namespace Cnvm.Virtio.Block;

/// <summary>How a block device is made.</summary>
public sealed record BlockOptions
{
    /// <summary>Name in configuration and threads, for example <c>_disk0</c>.</summary>
    public required string Id { get; init; }

    /// <summary>Queues; 1 to 65535, one for each vCPU at most.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Elements of each queue; a power of two.</summary>
    public ushort QueueSize { get; init; } = 128;

    /// <summary>Host CPUs that the threads of single queues may run on, by index of the queue.</summary>
    public IReadOnlyDictionary<int, int[]> QueueAffinity { get; init; } = new Dictionary<int, int[]>();

    /// <summary>
    /// The guest may not write the first sector: the image was taken for raw, or for a fixed VHD, by its looks, and the guest could make it
    /// look like another format, one that names files of the host.
    /// </summary>
    public bool IsFirstSectorKept { get; init; }

    /// <summary>
    /// The guest goes on when this process is killed, and somebody takes its place: what it was told to be done is then in the file, if not yet
    /// on the host's disk.
    /// </summary>
    public bool OutlivesProcess { get; init; }

    /// <summary>Limit of what passes, perhaps shared with other disks; null: none.</summary>
    public RateLimiter? RateLimiter { get; init; }

    /// <summary>What the driver gets as the disk's serial number: up to 20 bytes of it. Null: the id.</summary>
    public string? Serial { get; init; }
}
