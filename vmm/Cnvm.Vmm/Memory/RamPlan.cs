using Cnvm.Arch.Machine;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Memory;

/// <summary>Lays the configured memory, zone after zone, into the RAM regions of the address space.</summary>
internal static class RamPlan
{
    /// <param name="regions">RAM regions of the layout; together as large as the configured memory.</param>
    public static IReadOnlyList<RamPiece> Create(MemoryConfig memory, IReadOnlyList<AddressRange> regions)
    {
        if (memory.Zones is not { Count: > 0 } zones)
        {
            return [.. regions.Select(r => PlainPiece(memory, r))];
        }

        var pieces = new List<RamPiece>();
        int region = 0;
        ulong used = 0;
        foreach (MemoryZoneConfig zone in zones)
        {
            // A zone that reaches the device hole goes on behind it, in a second piece of the same file.
            ulong placed = 0;
            while (placed < zone.Size)
            {
                ulong size = Math.Min(zone.Size - placed, regions[region].Length - used);
                pieces.Add(Piece(zone, memory.Thp, regions[region].Start + used, size, placed));
                placed += size;
                used += size;
                if (used == regions[region].Length)
                {
                    region++;
                    used = 0;
                }
            }
        }

        return pieces;
    }

    /// <summary>Memory of no zone.</summary>
    public static RamPiece PlainPiece(MemoryConfig memory, AddressRange range) => new(range.Start, range.Length)
    {
        Shared = memory.Shared,
        HugePages = memory.Hugepages,
        HugePageSize = memory.HugepageSize ?? 0,
        Prefault = memory.Prefault,
        Reserve = memory.Reserve,
        Mergeable = memory.Mergeable,
        TransparentHugePages = memory.Thp,
    };

    private static RamPiece Piece(MemoryZoneConfig zone, bool thp, ulong gpa, ulong size, ulong fileOffset) => new(gpa, size)
    {
        ZoneId = zone.Id,
        File = zone.File,
        FileOffset = zone.File is null ? 0 : fileOffset,
        Shared = zone.Shared,
        HugePages = zone.Hugepages,
        HugePageSize = zone.HugepageSize ?? 0,
        Prefault = zone.Prefault,
        Reserve = zone.Reserve,
        Mergeable = zone.Mergeable,
        TransparentHugePages = thp,
    };
}
