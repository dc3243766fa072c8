namespace Cnvm.Virtio.Vsock;

/// <summary>Socket device (virtio 1.2 §5.10).</summary>
internal static class VsockSpec
{
    public const int ReceiveQueue = 0;
    public const int TransmitQueue = 1;
    public const int EventQueue = 2;
    public const int QueueCount = 3;
    public const ushort QueueSize = 256;

    /// <summary>struct virtio_vsock_config: guest_cid (§5.10.4).</summary>
    public const int ConfigBytes = 8;

    /// <summary>struct virtio_vsock_hdr (§5.10.6).</summary>
    public const int HeaderBytes = 44;

    /// <summary>Largest payload that goes into one packet to the guest.</summary>
    public const uint MaxPacketBytes = 64 * 1024;

    /// <summary>The host's context id.</summary>
    public const ulong HostCid = 2;

    /// <summary>VIRTIO_VSOCK_TYPE_STREAM.</summary>
    public const ushort Stream = 1;

    // virtio_vsock_hdr.op (§5.10.6).
    public const ushort Request = 1;
    public const ushort Response = 2;
    public const ushort Reset = 3;
    public const ushort Shutdown = 4;
    public const ushort ReadWrite = 5;
    public const ushort CreditUpdate = 6;
    public const ushort CreditRequest = 7;

    // Flags of a shutdown (§5.10.6.5): what its sender will not do any more.
    public const uint ShutdownReceive = 1;
    public const uint ShutdownSend = 2;
    public const uint ShutdownBoth = ShutdownReceive | ShutdownSend;

    /// <summary>VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (§5.10.6.7): all connections are gone, and the context id may be another.</summary>
    public const uint TransportReset = 0;

    /// <summary>struct virtio_vsock_event.</summary>
    public const int EventBytes = 4;
}
