using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Writes guest RAM to a file, leaving holes for pages of zeros, and takes checksums on the way.</summary>
internal static class MemoryFileWriter
{
    /// <summary>One checksum for each so many bytes of guest RAM.</summary>
    public const uint ChunkBytes = 2 << 20;

    private const int PageBytes = 1 << DirtyBitmap.PageShift;
    private const int ChunkPages = (int)ChunkBytes / PageBytes;

    // Written at once: a part of the second-level cache.
    private const int RunBytes = 256 << 10;

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
                Checksums = WriteRange(file, range, memory, dirty, i, memory.Regions[i].IsAnonymous ? resident : null, compressed),
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

    private static ulong[] WriteRange(
        SafeFileHandle file,
        MemoryRangeState range,
        GuestMemory memory,
        DirtyBitmap? dirty,
        int region,
        ResidentPages? resident,
        CompressedMemoryWriter? compressed)
    {
        var checksums = new ulong[(range.Size + ChunkBytes - 1) / ChunkBytes];
        nint address = memory.Regions[region].HostAddress;
        Span<bool> wanted = stackalloc bool[ChunkPages];
        Span<ulong> held = stackalloc ulong[ChunkPages];
        for (int i = 0; i < checksums.Length; i++)
        {
            ulong start = (ulong)i * ChunkBytes;
            int bytes = (int)Math.Min(ChunkBytes, range.Size - start);
            Span<byte> chunk = memory.GetSpan(range.Gpa + start, bytes);
            held = held[..(bytes / PageBytes)];
            wanted = wanted[..held.Length];
            wanted.Fill(resident is null);
            if (resident?.Read(address + (nint)start, held) is true)
            {
                for (int page = 0; page < held.Length; page++)
                {
                    wanted[page] = ResidentPages.IsHeld(held[page]);
                }
            }

            for (int page = 0; dirty is not null && page < wanted.Length; page++)
            {
                wanted[page] &= dirty.IsDirty(region, (start >> DirtyBitmap.PageShift) + (ulong)page);
            }

            checksums[i] = compressed is not null ? compressed.Write(chunk, wanted) : WriteChunk(file, chunk, (long)(range.FileOffset + start), wanted);
        }

        return checksums;
    }

    /// <summary>Writes runs of wanted pages that are not zero; returns the checksum of the chunk as it reads back.</summary>
    private static uint WriteChunk(SafeFileHandle file, ReadOnlySpan<byte> chunk, long offset, ReadOnlySpan<bool> wanted)
    {
        uint crc = Crc32C.Start;
        int written = 0;
        int runStart = -1;
        for (int at = 0; at <= chunk.Length; at += PageBytes)
        {
            bool used = at < chunk.Length && wanted[at / PageBytes] && chunk.Slice(at, PageBytes).ContainsAnyExcept((byte)0);
            if (used && runStart < 0)
            {
                crc = ZeroChecksum.Append(crc, at - written);
                written = at;
                runStart = at;
            }
            else if (runStart >= 0 && (!used || at - runStart == RunBytes))
            {
                // Short runs: what has been summed up is still in the processor's cache when the kernel copies it.
                ReadOnlySpan<byte> run = chunk[runStart..at];
                crc = Crc32C.Append(crc, run);
                RandomAccess.Write(file, run, offset + runStart);
                written = at;
                runStart = used ? at : -1;
            }
        }

        return Crc32C.Finish(ZeroChecksum.Append(crc, chunk.Length - written));
    }
}
