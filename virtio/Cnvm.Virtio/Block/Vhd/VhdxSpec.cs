namespace Cnvm.Virtio.Block.Vhd;

/// <summary>The VHDX format (MS-VHDX). All numbers on the disk are little-endian.</summary>
internal static class VhdxSpec
{
    public const ulong MiB = 1024 * 1024;

    // Headers (§2.2.2).
    public const ulong Header1 = 64 * 1024;
    public const ulong Header2 = 128 * 1024;
    public const int HeaderBytes = 4096;
    public const int Checksum = 4;
    public const int HeaderSequence = 8;
    public const int HeaderFileWriteGuid = 16;
    public const int HeaderDataWriteGuid = 32;
    public const int HeaderLogGuid = 48;
    public const int HeaderLogVersion = 64;
    public const int HeaderVersion = 66;
    public const int HeaderLogLength = 68;
    public const int HeaderLogOffset = 72;

    // Region tables (§2.2.3).
    public const ulong RegionTable1 = 192 * 1024;
    public const ulong RegionTable2 = 256 * 1024;
    public const int TableBytes = 64 * 1024;
    public const int RegionCount = 8;
    public const int RegionEntries = 16;
    public const int RegionEntryBytes = 32;
    public const int RegionOffset = 16;
    public const int RegionLength = 24;
    public const int RegionRequired = 28;
    public const int MaxTableEntries = 2047;

    // The metadata table (§2.6.1).
    public const int MetadataCount = 10;
    public const int MetadataEntries = 32;
    public const int MetadataEntryBytes = 32;
    public const int MetadataOffset = 16;
    public const int MetadataLength = 20;
    public const int MetadataFlags = 24;
    public const uint MetadataRequired = 4;

    // File parameters (§2.6.2.1).
    public const uint HasParent = 2;
    public const uint MinBlock = 1 << 20;
    public const uint MaxBlock = 256 << 20;
    public const ulong MaxSize = 64UL << 40;

    /// <summary>Sectors that one sector bitmap block describes.</summary>
    public const ulong SectorsPerChunk = 1 << 23;

    // Entries of the block allocation table (§2.5.1).
    public const ulong StateMask = 7;
    public const ulong FullyPresent = 6;
    public const ulong PartiallyPresent = 7;
    public const ulong Unmapped = 3;
    public const ulong OffsetMask = ~0xf_ffffUL;

    // Log entries (§2.3.1).
    public const int LogSector = 4096;
    public const int LogHeaderBytes = 64;
    public const int LogEntryLength = 8;
    public const int LogTail = 12;
    public const int LogSequence = 16;
    public const int LogDescriptors = 24;
    public const int LogGuid = 32;
    public const int LogFlushedFileOffset = 48;
    public const int LogLastFileOffset = 56;
    public const int DescriptorBytes = 32;
    public const int DescriptorTrailing = 4;
    public const int DescriptorLeading = 8;
    public const int DescriptorFileOffset = 16;
    public const int DescriptorSequence = 24;
    public const int DataLeadingBytes = 8;
    public const int DataTrailing = 4092;

    /// <summary>Longest log that is replayed; a bound of cnvm's own. Hyper-V and QEMU make logs of 1 MiB.</summary>
    public const uint MaxLog = 32 << 20;

    /// <summary>Furthest that a file may reach: a disk of the largest size with its tables; a bound of cnvm's own.</summary>
    public const ulong MaxFile = 128UL << 40;

    public static readonly Guid BlockAllocationTable = new("2dc27766-f623-4200-9d64-115e9bfd4a08");
    public static readonly Guid Metadata = new("8b7ca206-4790-4b9a-b8fe-575f050f886e");
    public static readonly Guid FileParameters = new("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
    public static readonly Guid VirtualDiskSize = new("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
    public static readonly Guid VirtualDiskId = new("beca12ab-b2e6-4523-93ef-c309e000c746");
    public static readonly Guid LogicalSectorSize = new("8141bf1d-a96f-4709-ba47-f233a8faab5f");
    public static readonly Guid PhysicalSectorSize = new("cda348c7-445d-4471-9cc9-e9885251c556");
    public static readonly Guid ParentLocator = new("a8d35f2d-b30b-454d-abf7-d3d84834ab0c");

    public static ReadOnlySpan<byte> FileSignature => "vhdxfile"u8;

    public static ReadOnlySpan<byte> HeaderSignature => "head"u8;

    public static ReadOnlySpan<byte> RegionSignature => "regi"u8;

    public static ReadOnlySpan<byte> MetadataSignature => "metadata"u8;

    public static ReadOnlySpan<byte> LogSignature => "loge"u8;

    public static ReadOnlySpan<byte> ZeroSignature => "zero"u8;

    public static ReadOnlySpan<byte> DescriptorSignature => "desc"u8;

    public static ReadOnlySpan<byte> DataSignature => "data"u8;

    public static BlockImageException Wrong(string path, string what) => new($"disk {path}: the VHDX image {what}");
}
