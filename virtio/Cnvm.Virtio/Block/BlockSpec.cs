namespace Cnvm.Virtio.Block;

/// <summary>Block device (virtio 1.2 §5.2).</summary>
internal static class BlockSpec
{
    public const int SectorShift = 9;
    public const int SectorSize = 512;

    // Feature bits (§5.2.3).
    public const ulong SizeMax = 1UL << 1;
    public const ulong SegMax = 1UL << 2;
    public const ulong Geometry = 1UL << 4;
    public const ulong ReadOnly = 1UL << 5;
    public const ulong BlockSize = 1UL << 6;
    public const ulong Flush = 1UL << 9;
    public const ulong Topology = 1UL << 10;
    public const ulong ConfigWce = 1UL << 11;
    public const ulong MultiQueue = 1UL << 12;
    public const ulong Discard = 1UL << 13;
    public const ulong WriteZeroes = 1UL << 14;

    // Request types (§5.2.6).
    public const uint In = 0;
    public const uint Out = 1;
    public const uint FlushRequest = 4;
    public const uint GetId = 8;
    public const uint DiscardRequest = 11;
    public const uint WriteZeroesRequest = 13;

    public const byte StatusOk = 0;
    public const byte StatusIoError = 1;
    public const byte StatusUnsupported = 2;

    /// <summary>struct virtio_blk_req up to its data: type, reserved, sector.</summary>
    public const int HeaderBytes = 16;

    /// <summary>Bytes of a serial number.</summary>
    public const int IdBytes = 20;

    /// <summary>struct virtio_blk_discard_write_zeroes: sector, number of sectors, flags.</summary>
    public const int RangeBytes = 16;

    public const uint RangeUnmap = 1;

    // struct virtio_blk_config (§5.2.4).
    public const int ConfigBytes = 60;
    public const int ConfigCapacity = 0;
    public const int ConfigSegMax = 12;
    public const int ConfigBlockSize = 20;
    public const int ConfigPhysicalExponent = 24;
    public const int ConfigAlignmentOffset = 25;
    public const int ConfigMinIo = 26;
    public const int ConfigOptIo = 28;
    public const int ConfigWriteBack = 32;
    public const int ConfigNumQueues = 34;
    public const int ConfigMaxDiscardSectors = 36;
    public const int ConfigMaxDiscardSegments = 40;
    public const int ConfigDiscardAlignment = 44;
    public const int ConfigMaxZeroSectors = 48;
    public const int ConfigMaxZeroSegments = 52;
    public const int ConfigZeroMayUnmap = 56;
}
