namespace Cnvm.Virtio.Block.Vhd;

/// <summary>
/// A format with one table, which has an entry for each block of the disk: where in the file it lies, or that it is nowhere and zero. Blocks never
/// move and are never given up. Under the lock of its layer; results are 0 or negative error numbers.
/// </summary>
internal unsafe interface IBlockTable
{
    /// <summary>Bytes of the disk; whole sectors.</summary>
    ulong Size { get; }

    /// <summary>Bytes of a block; a power of two from 512.</summary>
    uint BlockBytes { get; }

    /// <summary>Unit of the disk's addresses, in bytes: 512 or 4096.</summary>
    uint SectorBytes { get; }

    /// <summary>Unit of writes that need no reading first, in bytes: 512 or 4096.</summary>
    uint PhysicalSectorBytes { get; }

    /// <summary>The table's place in the file is a multiple of this; a power of two.</summary>
    int TableAlignment { get; }

    /// <summary>Offset of a block's entry in the file.</summary>
    ulong EntryOffset(ulong block);

    /// <summary>Offset of a block's data in the file; 0: there is none, and the block is zero. False if the entry cannot be.</summary>
    bool TryLocate(ulong block, byte* entry, out ulong host);

    /// <summary>Makes an entry say where its block is.</summary>
    void SetEntry(byte* entry, ulong host);

    /// <summary>What comes before the first change of the disk or the file.</summary>
    int Begin();

    /// <summary>What comes before data is written to a block that exists.</summary>
    /// <param name="host">Offset of its data.</param>
    int PrepareWrite(ulong block, ulong host) => 0;

    /// <summary>Makes the file longer by a block, which is zero and which nothing refers to yet.</summary>
    /// <param name="host">Offset of its data.</param>
    int Append(out ulong host);
}
