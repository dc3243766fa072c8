namespace Cnvm.Virtio.Balloon;

/// <summary>Memory balloon device (virtio 1.2 §5.5).</summary>
internal static class BalloonSpec
{
    // Feature bits (§5.5.3).
    public const ulong StatisticsQueue = 1UL << 1;
    public const ulong DeflateOnOom = 1UL << 2;
    public const ulong PageReporting = 1UL << 5;

    public const ushort QueueSize = 128;
    public const int MaxQueues = 4;

    /// <summary>Pages are counted in units of 4 KiB, whatever the guest's own page size (§5.5.6).</summary>
    public const int PageShift = 12;

    // struct virtio_balloon_config (§5.5.4).
    public const int ConfigBytes = 16;
    public const int ConfigTarget = 0;
    public const int ConfigActual = 4;

    /// <summary>A page's number in a buffer of the inflate or deflate queue.</summary>
    public const int PageNumberBytes = 4;

    /// <summary>Longest buffer of the inflate queue: drivers send 256 pages at a time, and 64 MiB must not hold the thread for long.</summary>
    public const uint MaxInflateBytes = 16384 * PageNumberBytes;

    /// <summary>struct virtio_balloon_stat: tag u16, value u64, packed (§5.5.6.3).</summary>
    public const int StatisticBytes = 10;

    /// <summary>Tags that are known (§5.5.6.4): VIRTIO_BALLOON_S_SWAP_IN to VIRTIO_BALLOON_S_HTLB_PGFAIL.</summary>
    public const int StatisticCount = 10;

    /// <summary>A value that the driver did not give.</summary>
    public const ulong NoStatistic = ulong.MaxValue;
}
