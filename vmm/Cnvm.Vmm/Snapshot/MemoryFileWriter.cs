using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Writes guest RAM to a file, leaving holes for pages of zeros, and takes checksums on the way.</summary>
internal static class MemoryFileWriter
{
    /// <summary>One checksum for each so many bytes of guest RAM.</summary>
    public const uint ChunkBytes = 2 << 20;

    private const int PageBytes = 1 << DirtyBitmap.PageShift;

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
    public static MemoryState Write(SafeFileHandle file, MemoryState plan, GuestMemory memory, DirtyBitmap? dirty = null)
    {
        var ranges = new MemoryRangeState[plan.Ranges.Length];
        long length = 0;
        for (int i = 0; i < ranges.Length; i++)
        {
            MemoryRangeState range = plan.Ranges[i];
            ranges[i] = !range.IsSaved ? range : range with
            {
                Checksums = WriteRange(file, range, memory, dirty, i),
                Pages = dirty is null ? [] : dirty.Words(i).ToArray(),
            };
            length = range.IsSaved ? (long)(range.FileOffset + range.Size) : length;
        }

        // A hole at the end needs the length to be said.
        RandomAccess.SetLength(file, length);
        return plan with { Ranges = ranges };
    }

    /// <summary>Other processes share the piece through a file of its own, which keeps the contents.</summary>
    private static bool KeepsItself(RamPiece piece) => piece.Shared && piece.File is { } path && !Directory.Exists(path);

    private static ulong[] WriteRange(SafeFileHandle file, MemoryRangeState range, GuestMemory memory, DirtyBitmap? dirty, int region)
    {
        var checksums = new ulong[(range.Size + ChunkBytes - 1) / ChunkBytes];
        for (int i = 0; i < checksums.Length; i++)
        {
            ulong start = (ulong)i * ChunkBytes;
            int bytes = (int)Math.Min(ChunkBytes, range.Size - start);
            Span<byte> chunk = memory.GetSpan(range.Gpa + start, bytes);
            checksums[i] = WriteChunk(file, chunk, (long)(range.FileOffset + start), dirty, region, start >> DirtyBitmap.PageShift);
        }

        return checksums;
    }

    /// <summary>Writes runs of pages that are not zero; returns the checksum of the chunk as it reads back.</summary>
    private static uint WriteChunk(SafeFileHandle file, ReadOnlySpan<byte> chunk, long offset, DirtyBitmap? dirty, int region, ulong firstPage)
    {
        uint crc = Crc32C.Start;
        int written = 0;
        int runStart = -1;
        for (int at = 0; at <= chunk.Length; at += PageBytes)
        {
            bool used = at < chunk.Length
                && dirty?.IsDirty(region, firstPage + (ulong)(at / PageBytes)) is not false
                && chunk.Slice(at, PageBytes).ContainsAnyExcept((byte)0);
            if (used && runStart < 0)
            {
                crc = ZeroChecksum.Append(crc, at - written);
                written = at;
                runStart = at;
            }
            else if (!used && runStart >= 0)
            {
                ReadOnlySpan<byte> run = chunk[runStart..at];
                RandomAccess.Write(file, run, offset + runStart);
                crc = Crc32C.Append(crc, run);
                written = at;
                runStart = -1;
            }
        }

        return Crc32C.Finish(ZeroChecksum.Append(crc, chunk.Length - written));
    }
}
