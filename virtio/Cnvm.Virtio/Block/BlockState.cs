namespace Cnvm.Virtio.Block;

/// <summary>What a block device remembers.</summary>
public sealed record BlockState : VirtioDeviceState
{
    /// <summary>The cache mode: true is write-back, false is write-through (virtio 1.2 §5.2.5.2).</summary>
    public required bool IsWriteBack { get; init; }

    /// <summary>Capacity that the driver was told, in 512-byte sectors.</summary>
    public required ulong Sectors { get; init; }
}
