using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Transport;

/// <summary>What every virtio transport saves. Pure data.</summary>
public sealed record TransportState
{
    /// <summary>Device status (virtio 1.2 §2.1).</summary>
    public required byte Status { get; init; }

    /// <summary>Features that were on offer.</summary>
    public required ulong OfferedFeatures { get; init; }

    /// <summary>Features that the driver accepted.</summary>
    public required ulong DriverFeatures { get; init; }

    public required uint DeviceFeatureSelect { get; init; }

    public required uint DriverFeatureSelect { get; init; }

    public required ushort QueueSelect { get; init; }

    /// <summary>Counts changes of the configuration space.</summary>
    public required uint ConfigGeneration { get; init; }

    /// <summary>Every queue of the device, in order.</summary>
    public required QueueState[] Queues { get; init; }

    /// <summary>The device's own state.</summary>
    public required VirtioDeviceState Device { get; init; }
}
