namespace Cnvm.Virtio;

/// <summary>Feature bits that concern every device (virtio 1.2 §6).</summary>
public static class VirtioFeatures
{
    /// <summary>VIRTIO_F_INDIRECT_DESC.</summary>
    public const ulong IndirectDescriptors = 1UL << 28;

    /// <summary>VIRTIO_F_EVENT_IDX.</summary>
    public const ulong EventIndex = 1UL << 29;

    /// <summary>VIRTIO_F_VERSION_1.</summary>
    public const ulong Version1 = 1UL << 32;
}
