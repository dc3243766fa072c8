namespace Cnvm.Virtio.VhostUser;

/// <summary>Numbers of the vhost-user protocol (QEMU's docs/interop/vhost-user.rst, whose section names stand here).</summary>
internal static class VhostUserSpec
{
    // "Header": request, flags, size of the payload; 32 bits each.
    public const int HeaderBytes = 12;
    public const uint Version = 1;
    public const uint VersionMask = 3;
    public const uint Reply = 1 << 2;
    public const uint NeedReply = 1 << 3;

    /// <summary>Bit of the virtio features: the back end has protocol features ("Feature negotiation").</summary>
    public const ulong ProtocolFeatures = 1UL << 30;

    // "Protocol features".
    public const ulong MultiQueue = 1UL << 0;
    public const ulong LogSharedMemory = 1UL << 1;
    public const ulong Rarp = 1UL << 2;
    public const ulong ReplyAck = 1UL << 3;
    public const ulong NetMtu = 1UL << 4;
    public const ulong Config = 1UL << 9;
    public const ulong InflightSharedMemory = 1UL << 12;
    public const ulong ConfigureMemorySlots = 1UL << 15;

    // "Front-end message types".
    public const uint GetFeatures = 1;
    public const uint SetFeatures = 2;
    public const uint SetOwner = 3;
    public const uint ResetOwner = 4;
    public const uint SetMemoryTable = 5;
    public const uint SetLogBase = 6;
    public const uint SetLogFd = 7;
    public const uint SetVringNum = 8;
    public const uint SetVringAddress = 9;
    public const uint SetVringBase = 10;
    public const uint GetVringBase = 11;
    public const uint SetVringKick = 12;
    public const uint SetVringCall = 13;
    public const uint SetVringError = 14;
    public const uint GetProtocolFeatures = 15;
    public const uint SetProtocolFeatures = 16;
    public const uint GetQueueNum = 17;
    public const uint SetVringEnable = 18;
    public const uint SendRarp = 19;
    public const uint NetSetMtu = 20;
    public const uint GetConfig = 24;
    public const uint SetConfig = 25;
    public const uint GetInflightFd = 31;
    public const uint SetInflightFd = 32;
    public const uint GetMaxMemorySlots = 36;
    public const uint AddMemoryRegion = 37;
    public const uint RemoveMemoryRegion = 38;

    // "Front-end message types" with an eventfd: the ring's index, and whether none came along.
    public const ulong VringIndexMask = 0xff;
    public const ulong VringNoDescriptor = 1 << 8;

    /// <summary>Regions in one SET_MEM_TABLE (VHOST_MEMORY_BASELINE_NREGIONS, "Memory regions description").</summary>
    public const int MaxTableRegions = 8;

    /// <summary>Regions that a back end of ours takes, by SET_MEM_TABLE and ADD_MEM_REG together.</summary>
    public const int MaxServedRegions = 64;

    /// <summary>Bytes of configuration space in one message ("Virtio device config space").</summary>
    public const int MaxConfigBytes = 256;

    /// <summary>Bytes before the configuration in GET_CONFIG and SET_CONFIG: offset, size, flags.</summary>
    public const int ConfigHeaderBytes = 12;

    /// <summary>"Inflight description": mmap size, mmap offset, number and size of queues, as C pads them.</summary>
    public const int InflightBytes = 24;

    /// <summary>The same without the padding at its end, which some back ends leave out.</summary>
    public const int InflightBytesPacked = 20;

    /// <summary>A ring's index in messages with an eventfd is a byte ("A vring description" beside "u64").</summary>
    public const int MaxRings = 256;
}
