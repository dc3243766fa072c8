namespace Cnvm.Virtio.Transport;

/// <summary>What a virtio MMIO transport saves. Pure data.</summary>
public sealed record MmioTransportState
{
    public required TransportState Transport { get; init; }

    /// <summary>InterruptStatus (virtio 1.2 §4.2.2).</summary>
    public required byte InterruptStatus { get; init; }
}
