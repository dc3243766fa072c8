using Cnvm.Virtio.Block;

namespace Cnvm.Vmm.Migration;

/// <summary>A disk that moves along, as the source sees it. Called on the migration's thread.</summary>
internal interface IDepartingDisk
{
    DiskOffer Offer { get; }

    /// <summary>What addresses of buffers are multiples of.</summary>
    uint MemoryAlignment { get; }

    /// <summary>Records from now on what the guest writes.</summary>
    void StartTracking();

    /// <summary>Adds what has been written since the last call.</summary>
    void Collect(DirtyBlocks into);

    void StopTracking();

    /// <summary>The first stretch in a range that may read as something else than zeros; false if there is none.</summary>
    /// <exception cref="MigrationException">The host cannot say.</exception>
    bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length);

    /// <exception cref="MigrationException">The disk cannot be read.</exception>
    void Read(ulong offset, Span<byte> buffer);
}
