namespace Cnvm.Virtio.Net;

/// <summary>Network device (virtio 1.2 §5.1).</summary>
internal static class NetSpec
{
    // Feature bits (§5.1.3).
    public const ulong Checksum = 1UL << 0;
    public const ulong GuestChecksum = 1UL << 1;
    public const ulong CtrlGuestOffloads = 1UL << 2;
    public const ulong Mtu = 1UL << 3;
    public const ulong Mac = 1UL << 5;
    public const ulong GuestTso4 = 1UL << 7;
    public const ulong GuestTso6 = 1UL << 8;
    public const ulong GuestEcn = 1UL << 9;
    public const ulong GuestUfo = 1UL << 10;
    public const ulong HostTso4 = 1UL << 11;
    public const ulong HostTso6 = 1UL << 12;
    public const ulong HostEcn = 1UL << 13;
    public const ulong HostUfo = 1UL << 14;
    public const ulong MergeableBuffers = 1UL << 15;
    public const ulong Status = 1UL << 16;
    public const ulong CtrlQueue = 1UL << 17;
    public const ulong GuestAnnounce = 1UL << 21;
    public const ulong MultiQueue = 1UL << 22;

    public const ulong GuestOffloads = GuestChecksum | GuestTso4 | GuestTso6 | GuestEcn | GuestUfo;

    // struct virtio_net_config (§5.1.4).
    public const int ConfigBytes = 12;
    public const int ConfigStatus = 6;
    public const int ConfigMaxPairs = 8;
    public const int ConfigMtu = 10;

    public const ushort StatusLinkUp = 1;
    public const ushort StatusAnnounce = 2;

    /// <summary>struct virtio_net_hdr with num_buffers, which VERSION_1 always has (§5.1.6.1).</summary>
    public const int HeaderBytes = 12;

    /// <summary>Offset of num_buffers in the header.</summary>
    public const int HeaderNumBuffers = 10;

    /// <summary>An Ethernet header without anything behind it.</summary>
    public const int MinFrameBytes = 14;

    /// <summary>A segmented packet of 64 KiB with its Ethernet header and VLAN tag (§5.1.6.3.1).</summary>
    public const int MaxFrameBytes = 65535 + 18;

    public const ushort MinMtu = 68;
    public const int ControlQueueSize = 64;

    // Control queue (§5.1.6.5).
    public const byte ClassRx = 0;
    public const byte ClassMac = 1;
    public const byte ClassAnnounce = 3;
    public const byte ClassMultiQueue = 4;
    public const byte ClassGuestOffloads = 5;
    public const byte RxLastCommand = 5;
    public const byte MacTableSet = 0;
    public const byte AnnounceAck = 0;
    public const byte PairsSet = 0;
    public const byte OffloadsSet = 0;
    public const byte AckOk = 0;
    public const byte AckError = 1;
}
