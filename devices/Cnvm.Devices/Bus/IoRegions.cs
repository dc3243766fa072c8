namespace Cnvm.Devices.Bus;

/// <summary>
/// One range made of several devices at fixed offsets: a BAR that holds registers, an MSI-X table and its pending bits. Regions
/// are added before the range goes on a bus. What lies between them reads as zero and takes writes without effect.
/// </summary>
public sealed class IoRegions : IIoDevice
{
    private Region[] _regions = [];

    /// <summary>Adds a region.</summary>
    /// <exception cref="ArgumentException">It is empty or overlaps another.</exception>
    public IoRegions Add(ulong offset, ulong size, IIoDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        Region added = new(offset, size, device);
        if (size == 0 || offset + size < offset)
        {
            throw new ArgumentException($"no region of 0x{size:x} bytes fits at 0x{offset:x}", nameof(size));
        }

        foreach (Region region in _regions)
        {
            if (offset < region.Offset + region.Size && region.Offset < offset + size)
            {
                throw new ArgumentException($"0x{offset:x} overlaps the region at 0x{region.Offset:x}", nameof(offset));
            }
        }

        _regions = [.. _regions, added];
        return this;
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        foreach (ref readonly Region region in _regions.AsSpan())
        {
            if (offset >= region.Offset && offset - region.Offset < region.Size)
            {
                return (ulong)data.Length <= region.Size - (offset - region.Offset)
                    ? region.Device.Read(offset - region.Offset, data)
                    : IoResult.Unaligned;
            }
        }

        data.Clear();
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        foreach (ref readonly Region region in _regions.AsSpan())
        {
            if (offset >= region.Offset && offset - region.Offset < region.Size)
            {
                return (ulong)data.Length <= region.Size - (offset - region.Offset)
                    ? region.Device.Write(offset - region.Offset, data)
                    : IoResult.Unaligned;
            }
        }

        return IoResult.Ok;
    }

    private readonly record struct Region(ulong Offset, ulong Size, IIoDevice Device);
}
