using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>An image whose tables say where its disk's data lies. Any thread; results are 0 or negative error numbers.</summary>
internal interface IImageLayer : IDisposable
{
    /// <summary>Bytes of the disk.</summary>
    ulong Size { get; }

    /// <inheritdoc cref="IBlockImage.DiscardGranularity"/>
    uint DiscardGranularity { get; }

    /// <inheritdoc cref="IBlockImage.HasUnwrittenTables"/>
    bool HasUnwrittenTables { get; }

    /// <summary>Reads into the next bytes of a transfer.</summary>
    int Read(ref VectorCursor cursor, ulong offset, ulong length);

    /// <summary>Writes the next bytes of a transfer.</summary>
    int Write(ref VectorCursor cursor, ulong offset, ulong length);

    /// <summary>Gives up the contents of a range; parts of it may stay as they are.</summary>
    int Discard(ulong offset, ulong length);

    /// <summary>Makes a range zero.</summary>
    /// <param name="mayFree">Its space may be given up.</param>
    int WriteZeroes(ulong offset, ulong length, bool mayFree);

    /// <summary>Brings what was written to stable storage.</summary>
    /// <param name="settle">Also what no reader of the disk would miss. The file is then as a check wants it.</param>
    int Flush(bool settle);

    /// <inheritdoc cref="IBlockImage.Resize"/>
    void Grow(ulong size);

    /// <inheritdoc cref="IBlockImage.CopyTo"/>
    void CopyTo(SafeFileHandle file);

    /// <inheritdoc cref="IBlockImage.Unlock"/>
    void Unlock();

    /// <inheritdoc cref="IBlockImage.Lock"/>
    void Lock();
}
