using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>A disk's contents. Any thread.</summary>
public interface IBlockImage : IDisposable
{
    /// <summary>Bytes; a multiple of 512.</summary>
    ulong Size { get; }

    bool IsReadOnly { get; }

    /// <summary>Whether discard gives space back.</summary>
    bool CanDiscard { get; }

    /// <summary>
    /// What has been written is partly in this process alone until a flush, which takes it along if it is killed; what only the host's kernel
    /// has does not count.
    /// </summary>
    bool HasUnwrittenTables => false;

    /// <summary>Smallest unit of a transfer, in bytes; a power of two from 512. Offsets and lengths are multiples of it.</summary>
    uint LogicalBlockSize { get; }

    /// <summary>Smallest unit that is written without reading first, in bytes; a power of two, at least the logical size.</summary>
    uint PhysicalBlockSize { get; }

    /// <summary>Offset of the first physical block, in logical blocks.</summary>
    byte AlignmentOffset { get; }

    /// <summary>Smallest efficient transfer, in logical blocks.</summary>
    ushort MinimumIoBlocks { get; }

    /// <summary>Best transfer, in logical blocks; 0 when there is none.</summary>
    uint OptimalIoBlocks { get; }

    /// <summary>Addresses and lengths of memory that transfers use are multiples of this; 1 when any will do.</summary>
    uint MemoryAlignment { get; }

    /// <summary>Smallest range whose discard has an effect, in bytes; a multiple of the logical size.</summary>
    uint DiscardGranularity => LogicalBlockSize;

    /// <summary>Gives the image another size. No queue is open.</summary>
    /// <param name="bytes">A multiple of 512, more than 0.</param>
    /// <exception cref="BlockImageException">It cannot be; the size is as it was.</exception>
    void Resize(ulong bytes) => throw new BlockImageException("an image of this kind cannot be given another size");

    /// <summary>Opens a way to submit requests; one for each virtqueue. The caller disposes it before the image.</summary>
    /// <param name="depth">Requests that may be in flight.</param>
    /// <param name="name">For the threads that it may need.</param>
    IBlockQueue OpenQueue(int depth, string name);

    /// <summary>Reads what the guest would read, beside the queues: for those who copy the disk.</summary>
    /// <param name="offset">In bytes; with the buffer's length and address as the sizes and alignments above ask.</param>
    /// <exception cref="BlockImageException">The host cannot.</exception>
    void Read(ulong offset, Span<byte> buffer) => throw new BlockImageException("an image of this kind cannot be copied");

    /// <summary>
    /// The first stretch at or after an offset, and before an end, that may read as something else than zeroes; false if there is none.
    /// </summary>
    /// <exception cref="BlockImageException">The host cannot say.</exception>
    bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length)
    {
        start = offset;
        length = end - offset;
        return length > 0;
    }

    /// <summary>Brings what has been written to stable storage. Any thread, with requests in flight too.</summary>
    /// <exception cref="BlockImageException">The host cannot.</exception>
    void Flush()
    {
    }

    /// <summary>
    /// Copies the image as it lies in its file. Nothing is in flight, and all has been flushed. The copy may lie in another folder: it builds
    /// on the same files.
    /// </summary>
    /// <param name="file">An empty file, open for writing.</param>
    /// <exception cref="BlockImageException">It lies in no file, or the host cannot.</exception>
    void CopyTo(SafeFileHandle file) => throw new BlockImageException("an image of this kind cannot be copied");

    /// <summary>Lets others open the image; nothing is in flight until <see cref="Lock"/>. An image without a lock does nothing.</summary>
    void Unlock()
    {
    }

    /// <summary>Takes the image again after <see cref="Unlock"/>.</summary>
    /// <exception cref="BlockImageException">Somebody else has it.</exception>
    void Lock()
    {
    }
}
