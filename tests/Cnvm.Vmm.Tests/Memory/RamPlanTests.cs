using Cnvm.Arch.Machine;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Tests.Memory;

public sealed class RamPlanTests
{
    private const ulong Gib = 1UL << 30;

    [Fact]
    public void Plain_memory_takes_the_regions_as_they_are()
    {
        AddressRange[] regions = [new(0, 3 * Gib), new(4 * Gib, Gib)];
        IReadOnlyList<RamPiece> pieces = RamPlan.Create(new MemoryConfig(Size: 4 * Gib, Shared: true, Mergeable: true, Thp: false), regions);
        Assert.Equal([(0UL, 3 * Gib), (4 * Gib, Gib)], pieces.Select(p => (p.Gpa, p.Size)));
        Assert.All(pieces, p => Assert.True(p is { Shared: true, Mergeable: true, TransparentHugePages: false, ZoneId: null }));
    }

    [Fact]
    public void A_zone_goes_on_behind_the_hole_in_the_same_file()
    {
        AddressRange[] regions = [new(0, 3 * Gib), new(4 * Gib, 2 * Gib)];
        var memory = new MemoryConfig(Size: 0, Zones:
        [
            new MemoryZoneConfig("low", 2 * Gib),
            new MemoryZoneConfig("high", 3 * Gib, File: "/tmp/zone", Shared: true),
        ]);
        IReadOnlyList<RamPiece> pieces = RamPlan.Create(memory, regions);
        Assert.Equal(
            [("low", 0UL, 2 * Gib, 0UL), ("high", 2 * Gib, Gib, 0UL), ("high", 4 * Gib, 2 * Gib, Gib)],
            pieces.Select(p => (p.ZoneId!, p.Gpa, p.Size, p.FileOffset)));
    }
}
