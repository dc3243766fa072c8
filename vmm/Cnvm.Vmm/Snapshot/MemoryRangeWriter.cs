using System.Runtime.ExceptionServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Writes one range of guest RAM, chunk by chunk, on two threads where there are two processors: the kernel lets one thread at a time write to a file, and the
/// other looks for zeros and takes a checksum meanwhile. Compressed chunks come one after the other.
/// </summary>
/// <param name="range">Where it lies in the file.</param>
/// <param name="region">Its index among the regions of <paramref name="memory"/>.</param>
/// <param name="dirty">Write only these pages; null for all.</param>
/// <param name="resident">Tells which pages hold anything; null where it cannot.</param>
/// <param name="compressed">What writes instead; null for pages as they are.</param>
internal sealed class MemoryRangeWriter(
    SafeFileHandle file,
    MemoryRangeState range,
    GuestMemory memory,
    int region,
    DirtyBitmap? dirty,
    ResidentPages? resident,
    CompressedMemoryWriter? compressed)
{
    private const int PageBytes = 1 << DirtyBitmap.PageShift;
    private const int ChunkPages = (int)MemoryFileWriter.ChunkBytes / PageBytes;

    // Written at once: a part of the second-level cache.
    private const int RunBytes = 256 << 10;
    private const int StackBytes = 128 << 10;

    // As many are written before another thread has come up.
    private const int FewChunks = 4;

    private readonly ulong[] _checksums = new ulong[(range.Size + MemoryFileWriter.ChunkBytes - 1) / MemoryFileWriter.ChunkBytes];
    private int _taken;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Writes it, once; returns the checksums of its chunks.</summary>
    /// <exception cref="IOException">No space left, or the file cannot be written.</exception>
    public ulong[] Write()
    {
        Thread? other = compressed is null && _checksums.Length > FewChunks && Environment.ProcessorCount > 1 ? TryStart() : null;
        WriteChunks();
        other?.Join();
        _failure?.Throw();
        return _checksums;
    }

    /// <summary>Where a control group allows no more threads, one does it all.</summary>
    private Thread? TryStart()
    {
        try
        {
            var other = new Thread(WriteBeside, StackBytes) { Name = "snapshot-memory", IsBackground = true };
            other.Start();
            return other;
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            return null;
        }
    }

    private void WriteBeside()
    {
        NativeThread.ShowName();
        WriteChunks();
    }

    /// <summary>Takes chunks until there are none; a failure, of which the first counts, leaves none to the other thread.</summary>
    private void WriteChunks()
    {
        try
        {
            for (int chunk = Interlocked.Increment(ref _taken) - 1; chunk < _checksums.Length; chunk = Interlocked.Increment(ref _taken) - 1)
            {
                _checksums[chunk] = WriteChunk(chunk);
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);
            Interlocked.Exchange(ref _taken, _checksums.Length);
        }
    }

    private uint WriteChunk(int index)
    {
        ulong start = (ulong)index * MemoryFileWriter.ChunkBytes;
        ReadOnlySpan<byte> chunk = memory.GetSpan(range.Gpa + start, (int)Math.Min(MemoryFileWriter.ChunkBytes, range.Size - start));
        Span<bool> wanted = stackalloc bool[ChunkPages];
        wanted = wanted[..(chunk.Length / PageBytes)];
        Choose(start, wanted);
        return compressed is not null ? compressed.Write(chunk, wanted) : WriteRuns(chunk, (long)(range.FileOffset + start), wanted);
    }

    /// <summary>Which pages of a chunk have to be looked at.</summary>
    private void Choose(ulong start, Span<bool> wanted)
    {
        wanted.Fill(true);
        for (int page = 0; dirty is not null && page < wanted.Length; page++)
        {
            wanted[page] = dirty.IsDirty(region, (start >> DirtyBitmap.PageShift) + (ulong)page);
        }

        if (resident is null || !wanted.Contains(true))
        {
            return;
        }

        Span<ulong> held = stackalloc ulong[ChunkPages];
        held = held[..wanted.Length];
        resident.Read(memory.Regions[region].HostAddress + (nint)start, held);
        for (int page = 0; page < wanted.Length; page++)
        {
            wanted[page] &= ResidentPages.IsHeld(held[page]);
        }
    }

    /// <summary>Writes runs of wanted pages that are not zero; returns the checksum of the chunk as it reads back.</summary>
    private uint WriteRuns(ReadOnlySpan<byte> chunk, long offset, ReadOnlySpan<bool> wanted)
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
