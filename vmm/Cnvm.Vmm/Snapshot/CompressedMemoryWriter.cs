using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Appends chunks of guest RAM to a compressed memory file.</summary>
internal sealed class CompressedMemoryWriter(SafeFileHandle file, uint chunkBytes)
{
    private const int PageBytes = 1 << DirtyBitmap.PageShift;
    private readonly byte[] _chunk = new byte[chunkBytes];
    private readonly byte[] _frame = new byte[Zstd.Bound((int)chunkBytes)];
    private readonly List<ulong> _frames = [];
    private long _length;

    /// <summary>What has been written.</summary>
    public CompressionState State => new([.. _frames]);

    /// <summary>Writes the wanted pages of a chunk, others as zeros; returns the checksum.</summary>
    /// <exception cref="IOException">No space left, or the file cannot be written.</exception>
    public uint Write(ReadOnlySpan<byte> chunk, ReadOnlySpan<bool> wanted)
    {
        Span<byte> pages = _chunk.AsSpan(0, chunk.Length);
        pages.Clear();
        bool isZero = true;
        for (int page = 0; page < wanted.Length; page++)
        {
            ReadOnlySpan<byte> source = chunk.Slice(page * PageBytes, PageBytes);
            if (wanted[page] && source.ContainsAnyExcept((byte)0))
            {
                source.CopyTo(pages[(page * PageBytes)..]);
                isZero = false;
            }
        }

        if (isZero)
        {
            _frames.Add(0);
            return Crc32C.Finish(ZeroChecksum.Append(Crc32C.Start, chunk.Length));
        }

        int bytes = Zstd.Compress(pages, _frame);
        RandomAccess.Write(file, _frame.AsSpan(0, bytes), _length);
        _length += bytes;
        _frames.Add((ulong)bytes);
        return Crc32C.Of(pages);
    }
}
