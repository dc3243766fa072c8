using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Makes one snapshot of a snapshot and the difference that follows it. Both stay as they are.</summary>
public static class SnapshotMerge
{
    private const int PageBytes = 4096;

    /// <param name="parent">Folder of a snapshot, full or a difference itself.</param>
    /// <param name="difference">Folder of the difference to it.</param>
    /// <param name="destination">An existing folder without a snapshot.</param>
    /// <exception cref="SnapshotException">They do not belong together, one is damaged, or the result cannot be written.</exception>
    public static void Merge(string parent, string difference, string destination)
    {
        MachineState older = SnapshotFolder.ReadState(parent);
        MachineState newer = SnapshotFolder.ReadState(difference);
        if (newer.Memory.Parent is not { } id || !id.AsSpan().SequenceEqual(older.Id))
        {
            throw new SnapshotException($"{difference} is no difference to {parent}");
        }

        CheckRanges(older.Memory, newer.Memory, difference);
        MemoryState merged = newer.Memory with { Parent = older.Memory.Parent, Zstd = null };
        SnapshotFolder.Write(
            destination,
            SnapshotFolder.ReadConfig(difference),
            Array.Exists(newer.Memory.Ranges, r => r.IsSaved)
                ? file => merged = WriteMemory(file, parent, older.Memory, difference, newer.Memory, merged)
                : null,
            () => newer with { Memory = merged },
            [.. SnapshotFolder.Disks(difference).Select(path => new SnapshotDisk(Path.GetFileName(path), file => Copy(path, file)))]);
    }

    private static void Copy(string path, SafeFileHandle file)
    {
        using SafeFileHandle source = RegularFile.OpenRead(path);
        FileCopy.CopyData(source, file);
    }

    private static void CheckRanges(MemoryState older, MemoryState newer, string difference)
    {
        bool same = older.ChunkBytes == newer.ChunkBytes && older.Ranges.Length == newer.Ranges.Length;
        for (int i = 0; same && i < older.Ranges.Length; i++)
        {
            (MemoryRangeState a, MemoryRangeState b) = (older.Ranges[i], newer.Ranges[i]);
            same = (a.Gpa, a.Size, a.IsSaved, a.FileOffset) == (b.Gpa, b.Size, b.IsSaved, b.FileOffset);
        }

        if (!same)
        {
            throw new SnapshotException($"{difference}: its memory lies otherwise than that of the snapshot it follows");
        }
    }

    private static MemoryState WriteMemory(SafeFileHandle file, string parent, MemoryState older, string difference, MemoryState newer, MemoryState merged)
    {
        using SafeFileHandle below = Open(parent);
        using SafeFileHandle above = Open(difference);
        var belowSource = new Source(below, parent, older);
        var aboveSource = new Source(above, difference, newer);
        var ranges = new MemoryRangeState[newer.Ranges.Length];
        long length = 0;
        var chunk = new byte[newer.ChunkBytes];
        var over = new byte[newer.ChunkBytes];
        for (int i = 0; i < ranges.Length; i++)
        {
            (MemoryRangeState a, MemoryRangeState b) = (older.Ranges[i], newer.Ranges[i]);
            if (!b.IsSaved)
            {
                ranges[i] = b;
                continue;
            }

            var checksums = new ulong[b.Checksums.Length];
            for (int c = 0; c < checksums.Length; c++)
            {
                long offset = (long)b.FileOffset + ((long)c * newer.ChunkBytes);
                int bytes = (int)Math.Min(newer.ChunkBytes, b.Size - ((ulong)c * newer.ChunkBytes));
                belowSource.Read(i, c, chunk.AsSpan(0, bytes), offset, a.Checksums[c]);
                aboveSource.Read(i, c, over.AsSpan(0, bytes), offset, b.Checksums[c]);
                Overlay(chunk.AsSpan(0, bytes), over, b.Pages, (long)c * (newer.ChunkBytes / PageBytes));
                checksums[c] = Crc32C.Of(chunk.AsSpan(0, bytes));
                WriteUsed(file, chunk.AsSpan(0, bytes), offset);
            }

            ranges[i] = b with { Checksums = checksums, Pages = Union(a.Pages, b.Pages) };
            length = (long)(b.FileOffset + b.Size);
        }

        RandomAccess.SetLength(file, length);
        return merged with { Ranges = ranges };
    }

    private static SafeFileHandle Open(string folder)
    {
        string path = Path.Combine(folder, SnapshotFiles.Memory);
        try
        {
            return RegularFile.OpenRead(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SnapshotException($"{path} cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Takes the pages that the difference has.</summary>
    private static void Overlay(Span<byte> chunk, ReadOnlySpan<byte> over, ulong[] pages, long firstPage)
    {
        for (int at = 0; at < chunk.Length; at += PageBytes)
        {
            long page = firstPage + (at / PageBytes);
            if (pages.Length == 0 || (pages[page / 64] & (1UL << (int)(page % 64))) != 0)
            {
                over.Slice(at, PageBytes).CopyTo(chunk[at..]);
            }
        }
    }

    private static void WriteUsed(SafeFileHandle file, ReadOnlySpan<byte> chunk, long offset)
    {
        for (int at = 0; at < chunk.Length; at += PageBytes)
        {
            ReadOnlySpan<byte> page = chunk.Slice(at, PageBytes);
            if (page.ContainsAnyExcept((byte)0))
            {
                RandomAccess.Write(file, page, offset + at);
            }
        }
    }

    /// <summary>Pages of either; empty means all.</summary>
    private static ulong[] Union(ulong[] a, ulong[] b)
    {
        if (a.Length == 0 || b.Length == 0)
        {
            return [];
        }

        ulong[] both = [.. a];
        for (int i = 0; i < both.Length; i++)
        {
            both[i] |= b[i];
        }

        return both;
    }

    /// <summary>The memory file of one of the two.</summary>
    private sealed class Source(SafeFileHandle file, string folder, MemoryState state)
    {
        private readonly DataExtents _extents = new(file);
        private readonly CompressedMemory? _compressed =
            state.Zstd is null ? null : new CompressedMemory(file, Path.Combine(folder, SnapshotFiles.Memory), state);

        public void Read(int range, int index, Span<byte> chunk, long offset, ulong checksum)
        {
            long end = offset + chunk.Length;
            if (_compressed is not null)
            {
                _compressed.Read(range, index, chunk);
            }
            else
            {
                ReadData(chunk, offset, end);
            }

            if (Crc32C.Of(chunk) != checksum)
            {
                throw new SnapshotException($"{folder}: {SnapshotFiles.Memory} is damaged between bytes 0x{offset:x} and 0x{end:x}");
            }
        }

        private void ReadData(Span<byte> chunk, long offset, long end)
        {
            chunk.Clear();
            for (long at = offset; _extents.TryFind(at, end, out long start, out long length); at = start + length)
            {
                for (int done = 0; done < length;)
                {
                    int read = RandomAccess.Read(file, chunk.Slice((int)(start - offset) + done, (int)length - done), start + done);
                    done += read > 0 ? read : throw new SnapshotException($"{folder}: {SnapshotFiles.Memory} is cut off");
                }
            }
        }
    }
}
