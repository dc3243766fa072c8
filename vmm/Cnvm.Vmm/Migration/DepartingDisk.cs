using Cnvm.Virtio.Block;

namespace Cnvm.Vmm.Migration;

/// <summary>A virtio-blk device as a disk that moves along: what the guest sees of it, whatever the image's format.</summary>
internal sealed class DepartingDisk(BlockDevice device, DiskOffer offer) : IDepartingDisk
{
    private DirtyBlocks? _changes;

    public DiskOffer Offer => offer;

    public uint MemoryAlignment => device.MemoryAlignment;

    /// <summary>What is to be said of a disk before it moves.</summary>
    /// <exception cref="MigrationException">It cannot move.</exception>
    public static DiskOffer OfferOf(BlockDevice device)
    {
        ulong size = device.ImageSize;
        if (size > DiskOffer.MostBytes)
        {
            throw new MigrationException($"disk {device.Id}: it has {size >> 40} TiB; {DiskOffer.MostBytes >> 40} TiB can move");
        }

        ulong data = 0;
        try
        {
            for (ulong at = 0; device.TryFindData(at, size, out ulong start, out ulong length); at = start + length)
            {
                data += length;
            }
        }
        catch (BlockImageException e)
        {
            throw new MigrationException(e.Message, e);
        }

        // What knows no holes says nothing of what it holds.
        return new DiskOffer(device.Id, size, data == size ? 0 : data, device.LogicalBlockSize);
    }

    public void StartTracking() => _changes = device.TrackChanges();

    public void Collect(DirtyBlocks into) => into.TakeFrom(_changes!);

    public void StopTracking()
    {
        device.StopTrackingChanges();
        _changes = null;
    }

    public bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length)
    {
        try
        {
            return device.TryFindData(offset, end, out start, out length);
        }
        catch (BlockImageException e)
        {
            throw new MigrationException(e.Message, e);
        }
    }

    public void Read(ulong offset, Span<byte> buffer)
    {
        try
        {
            device.ReadImage(offset, buffer);
        }
        catch (BlockImageException e)
        {
            throw new MigrationException(e.Message, e);
        }
    }
}
