namespace Cnvm.Virtio.Queues;

/// <summary>Where a split queue lies in guest memory, and how far the device has gone through it. Pure data.</summary>
public sealed record QueueState
{
    /// <summary>Elements; a power of two up to 32768.</summary>
    public ushort Size { get; init; }

    /// <summary>True once the driver has enabled the queue; the fields below count only then.</summary>
    public bool Enabled { get; init; }

    /// <summary>Guest-physical address of the descriptor table.</summary>
    public ulong DescriptorTable { get; init; }

    /// <summary>Guest-physical address of the available ring (driver area).</summary>
    public ulong AvailRing { get; init; }

    /// <summary>Guest-physical address of the used ring (device area).</summary>
    public ulong UsedRing { get; init; }

    /// <summary>Free-running index of the next available element that the device takes.</summary>
    public ushort NextAvail { get; init; }

    /// <summary>Free-running index of the next used element that the device writes.</summary>
    public ushort NextUsed { get; init; }
}
