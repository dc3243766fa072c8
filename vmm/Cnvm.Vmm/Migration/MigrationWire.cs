using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>Numbers of the migration protocol (PROTOCOL.md).</summary>
internal static class MigrationWire
{
    /// <summary>The protocol version that this program speaks; it speaks no other yet.</summary>
    public const ushort Version = 1;

    /// <summary>Feature bit: the data of <see cref="FrameType.Pages"/> may be an LZ4 block.</summary>
    public const ulong FeatureLz4 = 1;

    /// <summary>Feature bit: the disks move along.</summary>
    public const ulong FeatureDisks = 2;

    /// <summary>Feature bit: memory is handed over as descriptors and not copied. On Unix sockets only.</summary>
    public const ulong FeatureLocal = 4;

    /// <summary>Feature bit: pages go through several connections.</summary>
    public const ulong FeatureConnections = 8;

    /// <summary>Feature bit: the guest may go on at the target while pages are missing there.</summary>
    public const ulong FeaturePostcopy = 16;

    /// <summary>Feature bit: of pages that are sent again only what has changed may come.</summary>
    public const ulong FeatureDelta = 32;

    /// <summary>Most connections of one migration.</summary>
    public const int MostConnections = 128;

    /// <summary>Flag of a <see cref="FrameType.Pages"/> or <see cref="FrameType.DiskData"/> frame: its data is an LZ4 block.</summary>
    public const ushort FlagLz4 = 1;

    public const int HeaderBytes = 16;
    public const int SessionBytes = 16;
    public const int PageBytes = 1 << DirtyBitmap.PageShift;

    /// <summary>Most pages in one <see cref="FrameType.Pages"/> frame.</summary>
    public const int PagesPerFrame = 256;

    /// <summary>Bytes that describe one run of pages: address and number.</summary>
    public const int RunBytes = 12;

    /// <summary>Most bytes of one <see cref="FrameType.Deltas"/> frame.</summary>
    public const int DeltaBytesPerFrame = 64 << 10;

    /// <summary>Most runs of zero pages in one frame.</summary>
    public const int ZeroRunsPerFrame = 1024;

    public const int ZeroRunBytes = 16;

    /// <summary>Most bytes of a disk in one <see cref="FrameType.DiskData"/> frame.</summary>
    public const int DiskBytesPerFrame = 1 << 20;

    /// <summary>Disk, length and offset, before the contents.</summary>
    public const int DiskDataHeaderBytes = 16;

    /// <summary>Disk, offset and length.</summary>
    public const int DiskZerosBytes = 20;

    /// <summary>Most bytes of a disk that one <see cref="FrameType.DiskZeros"/> frame names.</summary>
    public const ulong MostDiskZeros = 1 << 30;

    /// <summary>Most words of 64 pages in one <see cref="FrameType.Missing"/> frame.</summary>
    public const int MissingWordsPerFrame = 8192;

    /// <summary>A page that is asked for comes with those of its block of so many pages that are missing too.</summary>
    public const int PagesPerBlock = 16;

    /// <summary>Longest reason that a peer may give, in bytes.</summary>
    public const int MaxReasonBytes = 16 << 10;

    /// <summary>Most payload bytes of a source's first message on a connection, and of the answer to it.</summary>
    public const int FirstBytes = 16 << 10;

    /// <summary>What a connection begins with, in both directions.</summary>
    public static ReadOnlySpan<byte> Magic => "CNVMMIGR"u8;

    /// <summary>Most payload bytes that a message may have; 0 for one that has none, -1 for a number that is no message.</summary>
    public static int LimitOf(FrameType type) => type switch
    {
        FrameType.Hello or FrameType.Welcome => FirstBytes,
        FrameType.Offer => StateFormat.MaxBytes,
        FrameType.Pages => sizeof(uint) + (PagesPerFrame * (RunBytes + PageBytes)),
        FrameType.Zeros => ZeroRunsPerFrame * ZeroRunBytes,
        FrameType.Deltas => DeltaBytesPerFrame,
        FrameType.DiskData => DiskDataHeaderBytes + DiskBytesPerFrame,
        FrameType.DiskZeros => DiskZerosBytes,
        FrameType.Round or FrameType.RoundDone => sizeof(uint),
        FrameType.Memory => 2 * sizeof(uint),
        FrameType.Join => SessionBytes,
        FrameType.State => sizeof(ulong) + StateFormat.MaxBytes,
        FrameType.Run or FrameType.Answer => 1,
        FrameType.Failed or FrameType.Cancel => MaxReasonBytes,
        FrameType.Missing => sizeof(ulong) + (MissingWordsPerFrame * sizeof(ulong)),
        FrameType.Want => sizeof(ulong),
        FrameType.Continue => SessionBytes,
        FrameType.Accept or FrameType.Ready or FrameType.Running or FrameType.Bye or FrameType.Joined
            or FrameType.LastPage or FrameType.Complete or FrameType.Continued => 0,
        _ => -1,
    };
}
