using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Writes guest RAM to a file, leaving holes for pages of zeros, and takes checksums on the way.</summary>
internal static class MemoryFileWriter
{
    /// <summary>One checksum for each so many bytes of guest RAM.</summary>
    public const uint ChunkBytes = 2 << 20;

    /// <summary>How a machine's RAM lies in a memory file, without checksums yet.</summary>
    public static MemoryState Plan(RamSource ram)
    {
        ulong offset = 0;
        var ranges = new List<MemoryRangeState>();
        foreach (RamPiece piece in ram.Plan)
        {
            bool saved = !KeepsItself(piece);
            ranges.Add(new MemoryRangeState
            {
                Gpa = piece.Gpa,
                Size = piece.Size,
                Zone = piece.ZoneId ?? "",
                IsSaved = saved,
                FileOffset = saved ? offset : 0,
                Checksums = [],
                Pages = [],
            });
            offset += saved ? piece.Size : 0;
        }

        return new MemoryState { Ranges = [.. ranges], ChunkBytes = ChunkBytes };
    }

    /// <summary>Writes what <paramref name="plan"/> says; returns it with checksums.</summary>
    /// <param name="dirty">Write only these pages, of the regions of the machine's memory; null for all.</param>
    /// <exception cref="IOException">No space left, or the file cannot be written.</exception>
    /// <param name="compress">In frames of Zstandard, rather than with holes.</param>
    public static MemoryState Write(SafeFileHandle file, MemoryState plan, GuestMemory memory, DirtyBitmap? dirty = null, bool compress = false)
    {
        var compressed = compress ? new CompressedMemoryWriter(file, plan.ChunkBytes) : null;
        var ranges = new MemoryRangeState[plan.Ranges.Length];
        long length = 0;
        using ResidentPages? resident = ResidentPages.TryOpen();
        for (int i = 0; i < ranges.Length; i++)
        {
            MemoryRangeState range = plan.Ranges[i];
            ranges[i] = !range.IsSaved ? range : range with
            {
                Checksums = new MemoryRangeWriter(file, range, memory, i, dirty, memory.Regions[i].IsAnonymous ? resident : null, compressed).Write(),
                Pages = dirty is null ? [] : dirty.Words(i).ToArray(),
            };
            length = range.IsSaved ? (long)(range.FileOffset + range.Size) : length;
        }

        if (compressed is not null)
        {
            return plan with { Ranges = ranges, Zstd = compressed.State };
        }

        // A hole at the end needs the length to be said.
        RandomAccess.SetLength(file, length);
        return plan with { Ranges = ranges };
    }

    /// <summary>Other processes share the piece through a file of its own, which keeps the contents.</summary>
    private static bool KeepsItself(RamPiece piece) => piece.Shared && piece.File is { } path && !Directory.Exists(path);
}
