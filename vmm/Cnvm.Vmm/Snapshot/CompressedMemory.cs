using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Reads the chunks of a compressed memory file, in any order.</summary>
internal sealed class CompressedMemory
{
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly ulong[] _frames;
    private readonly long[] _offsets;
    private readonly int[] _firstChunks;
    private readonly byte[] _frame;

    /// <param name="path">Of <paramref name="file"/>, for messages.</param>
    /// <param name="state">Says that it is compressed.</param>
    /// <exception cref="SnapshotException">This host has no libzstd.</exception>
    public CompressedMemory(SafeFileHandle file, string path, MemoryState state)
    {
        ThrowIfUnavailable();
        _file = file;
        _path = path;
        _frames = state.Zstd!.Frames;
        _offsets = new long[_frames.Length];
        _firstChunks = new int[state.Ranges.Length];
        long offset = 0;
        for (int i = 0; i < _frames.Length; i++)
        {
            _offsets[i] = offset;
            offset += (long)_frames[i];
        }

        int chunk = 0;
        for (int i = 0; i < state.Ranges.Length; i++)
        {
            _firstChunks[i] = chunk;
            chunk += state.Ranges[i].Checksums.Length;
        }

        // Each is checked against this when the state is read.
        _frame = new byte[_frames.Length > 0 ? (int)_frames.Max() : 0];
    }

    /// <exception cref="SnapshotException">This host has no libzstd.</exception>
    public static void ThrowIfUnavailable()
    {
        if (!Zstd.IsAvailable)
        {
            throw new SnapshotException("compressed snapshots need libzstd.so.1, which this host does not have (Debian's package libzstd1)");
        }
    }

    /// <summary>Whether the chunk is all zeros.</summary>
    public bool IsZero(int range, int chunk) => _frames[_firstChunks[range] + chunk] == 0;

    /// <exception cref="SnapshotException">The file is cut off or damaged.</exception>
    public void Read(int range, int chunk, Span<byte> into)
    {
        int at = _firstChunks[range] + chunk;
        Span<byte> frame = _frame.AsSpan(0, (int)_frames[at]);
        if (frame.Length == 0)
        {
            into.Clear();
            return;
        }

        for (int done = 0; done < frame.Length;)
        {
            int read = RandomAccess.Read(_file, frame[done..], _offsets[at] + done);
            done += read > 0 ? read : throw new SnapshotException($"{_path} is cut off at byte {_offsets[at] + done}");
        }

        try
        {
            int bytes = Zstd.Decompress(frame, into);
            if (bytes != into.Length)
            {
                throw new SnapshotException($"{_path} is damaged: the frame at byte 0x{_offsets[at]:x} has {bytes} bytes instead of {into.Length}");
            }
        }
        catch (InvalidDataException e)
        {
            throw new SnapshotException($"{_path} is damaged: the frame at byte 0x{_offsets[at]:x}: {e.Message}", e);
        }
    }
}
