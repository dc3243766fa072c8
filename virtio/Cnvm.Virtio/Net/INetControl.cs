namespace Cnvm.Virtio.Net;

/// <summary>What the control queue does to a network device (virtio 1.2 §5.1.6.5). On the queue's thread.</summary>
internal interface INetControl
{
    /// <summary>The driver has announced where it is now.</summary>
    void AcknowledgeAnnouncement();

    /// <summary>The driver uses so many queue pairs from now on; false if it cannot.</summary>
    bool TrySetActivePairs(int pairs);

    /// <summary>The driver takes these offloads (VIRTIO_NET_F_GUEST_* bits) from now on; false if it cannot.</summary>
    bool TrySetGuestOffloads(ulong offloads);
}
