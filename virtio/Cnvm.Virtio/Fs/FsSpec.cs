namespace Cnvm.Virtio.Fs;

/// <summary>File system device (virtio 1.2 §5.11).</summary>
internal static class FsSpec
{
    /// <summary>Bytes of a tag in the configuration space, padded with zeroes.</summary>
    public const int TagBytes = 36;

    // struct virtio_fs_config (§5.11.4).
    public const int ConfigBytes = 40;
    public const int ConfigNumRequestQueues = 36;

    /// <summary>The queue of FORGET and INTERRUPT requests (§5.11.2); request queues follow.</summary>
    public const int HighPriorityQueue = 0;
}
