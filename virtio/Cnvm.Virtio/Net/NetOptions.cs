using System.Net.NetworkInformation;
using Cnvm.Virtio.RateLimits;

namespace Cnvm.Virtio.Net;

/// <summary>How a network device is made.</summary>
public sealed record NetOptions
{
    /// <summary>Name in configuration and threads, for example <c>_net1</c>.</summary>
    public required string Id { get; init; }

    /// <summary>Elements of each receive and transmit queue; a power of two.</summary>
    public ushort QueueSize { get; init; } = 256;

    /// <summary>The guest's MAC address; null: a random local one.</summary>
    public PhysicalAddress? Mac { get; init; }

    /// <summary>MTU that the driver is told; null: none.</summary>
    public ushort? Mtu { get; init; }

    /// <summary>Limit of what the guest receives; null: none.</summary>
    public RateLimiter? ReceiveLimiter { get; init; }

    /// <summary>Limit of what the guest sends; null: none.</summary>
    public RateLimiter? TransmitLimiter { get; init; }

    public bool OffloadTso { get; init; } = true;

    public bool OffloadUfo { get; init; } = true;

    /// <summary>Checksum offload; without it the other offloads are off too, as they need it.</summary>
    public bool OffloadChecksum { get; init; } = true;
}
