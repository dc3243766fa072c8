namespace Cnvm.Virtio.Queues;

/// <summary>Layout of split virtqueues (virtio 1.2 §2.7).</summary>
internal static class SplitRing
{
    /// <summary>Largest queue (§2.7).</summary>
    public const int MaxQueueSize = 32768;

    public const int DescriptorBytes = 16;
    public const ulong DescriptorAlignment = 16;
    public const ulong AvailAlignment = 2;
    public const ulong UsedAlignment = 4;

    /// <summary>VIRTQ_DESC_F_NEXT.</summary>
    public const ushort Next = 1;

    /// <summary>VIRTQ_DESC_F_WRITE: the device writes the buffer.</summary>
    public const ushort Write = 2;

    /// <summary>VIRTQ_DESC_F_INDIRECT: the buffer is a table of descriptors.</summary>
    public const ushort Indirect = 4;

    /// <summary>VIRTQ_AVAIL_F_NO_INTERRUPT.</summary>
    public const ushort NoInterrupt = 1;

    /// <summary>VIRTQ_USED_F_NO_NOTIFY.</summary>
    public const ushort NoNotify = 1;

    /// <summary>Bytes before the first ring element: flags and idx.</summary>
    public const int HeaderBytes = 4;

    public const int AvailElementBytes = 2;
    public const int UsedElementBytes = 8;

    /// <summary>Bytes of the event index behind either ring; reserved whether or not it is negotiated.</summary>
    public const int EventBytes = 2;

    public static ulong DescriptorTableBytes(int size) => (ulong)size * DescriptorBytes;

    public static ulong AvailBytes(int size) => HeaderBytes + ((ulong)size * AvailElementBytes) + EventBytes;

    public static ulong UsedBytes(int size) => HeaderBytes + ((ulong)size * UsedElementBytes) + EventBytes;
}
