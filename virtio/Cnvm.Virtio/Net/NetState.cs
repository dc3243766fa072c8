namespace Cnvm.Virtio.Net;

/// <summary>What a network device remembers.</summary>
public sealed record NetState : VirtioDeviceState
{
    /// <summary>Queue pairs that the driver uses.</summary>
    public required int ActivePairs { get; init; }

    /// <summary>Offloads that the driver takes now (VIRTIO_NET_F_GUEST_* bits).</summary>
    public required ulong GuestOffloads { get; init; }

    /// <summary>The driver has been asked to announce itself and has not acknowledged it.</summary>
    public required bool IsAnnouncing { get; init; }
}
