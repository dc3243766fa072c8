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

    /// <summary>Flag of a <see cref="FrameType.Pages"/> frame: its data is an LZ4 block.</summary>
    public const ushort FlagLz4 = 1;

    public const int HeaderBytes = 16;
    public const int SessionBytes = 16;
    public const int PageBytes = 1 << DirtyBitmap.PageShift;

    /// <summary>Most pages in one <see cref="FrameType.Pages"/> frame.</summary>
    public const int PagesPerFrame = 256;

    /// <summary>Bytes that describe one run of pages: address and number.</summary>
    public const int RunBytes = 12;

    /// <summary>Most runs of zero pages in one frame.</summary>
    public const int ZeroRunsPerFrame = 1024;

    public const int ZeroRunBytes = 16;

    /// <summary>Longest reason that a peer may give, in bytes.</summary>
    public const int MaxReasonBytes = 16 << 10;

    private const int SmallRecordBytes = 16 << 10;

    /// <summary>What a connection begins with, in both directions.</summary>
    public static ReadOnlySpan<byte> Magic => "CNVMMIGR"u8;

    /// <summary>Most payload bytes that a message may have; 0 for one that has none, -1 for a number that is no message.</summary>
    public static int LimitOf(FrameType type) => type switch
    {
        FrameType.Hello or FrameType.Welcome => SmallRecordBytes,
        FrameType.Offer => StateFormat.MaxBytes,
        FrameType.Pages => sizeof(uint) + (PagesPerFrame * (RunBytes + PageBytes)),
        FrameType.Zeros => ZeroRunsPerFrame * ZeroRunBytes,
        FrameType.Round or FrameType.RoundDone => sizeof(uint),
        FrameType.State => sizeof(ulong) + StateFormat.MaxBytes,
        FrameType.Run or FrameType.Answer => 1,
        FrameType.Failed or FrameType.Cancel => MaxReasonBytes,
        FrameType.Accept or FrameType.Ready or FrameType.Running or FrameType.Bye => 0,
        _ => -1,
    };
}
