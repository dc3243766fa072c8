using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The memory file of a snapshot.</summary>
internal static class SnapshotMemory
{
    /// <summary>Opens it for reading. The caller disposes it.</summary>
    /// <param name="state">Says how much has to be in it.</param>
    /// <exception cref="SnapshotException">It is not there, no file, or cut off.</exception>
    public static SafeFileHandle Open(string path, MemoryState state)
    {
        try
        {
            SafeFileHandle file = RegularFile.OpenRead(path);
            long needed = state.Zstd is { } zstd
                ? zstd.Frames.Sum(f => (long)f)
                : state.Ranges.Max(r => r.IsSaved ? (long)(r.FileOffset + r.Size) : 0);
            long length = RandomAccess.GetLength(file);
            if (length < needed)
            {
                file.Dispose();
                throw new SnapshotException($"{path} is cut off: it has {length} bytes, the snapshot needs {needed}; copy it once more from where the snapshot was taken");
            }

            return file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SnapshotException($"{path}, which has the snapshot's memory, cannot be used: {e.Message}", e);
        }
    }

    /// <summary>Bytes of a saved range that are more than zeros, as the file's holes tell, or its frames.</summary>
    /// <param name="range">Index of the range.</param>
    public static ulong HeldBytes(SafeFileHandle file, MemoryState state, int range)
    {
        MemoryRangeState saved = state.Ranges[range];
        if (state.Zstd is { } zstd)
        {
            int first = state.Ranges.Take(range).Sum(r => r.Checksums.Length);
            ulong chunks = (ulong)zstd.Frames.Skip(first).Take(saved.Checksums.Length).Count(f => f != 0);
            return Math.Min(chunks * state.ChunkBytes, saved.Size);
        }

        ulong held = 0;
        long end = (long)(saved.FileOffset + saved.Size);
        for (long at = (long)saved.FileOffset; SparseFile.TryFindData(file, at, end, out long start, out long length); at = start + length)
        {
            held += (ulong)length;
        }

        return held;
    }
}
