using Cnvm.Arch;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Tests;

public sealed class GuestMemoryTests
{
    private const ulong Page = 4096;
    private const ulong Total = 16 * Page;

    /// <summary>RAM at pages 0-3 and 4-5 (two regions that touch) and at 8-9.</summary>
    private static GuestMemory Build(out MappedMemory mapping)
    {
        MappedMemory m = MappedMemory.Anonymous((nuint)Total);
        mapping = m;
        return new GuestMemory(m.Address, [Region(0, 4), Region(4, 2), Region(8, 2)], m);

        RamRegion Region(ulong first, ulong pages) => new(first * Page, pages * Page, m.Address + (nint)(first * Page));
    }

    [Theory]
    [InlineData(0, 1, true)]
    [InlineData(0, (int)(6 * Page), true)]
    [InlineData(3 * Page, (int)(2 * Page), true)]
    [InlineData((6 * Page) - 1, 1, true)]
    [InlineData((6 * Page) - 1, 2, false)]
    [InlineData(6 * Page, 1, false)]
    [InlineData(7 * Page, (int)(2 * Page), false)]
    [InlineData(8 * Page, (int)(2 * Page), true)]
    [InlineData(10 * Page, 1, false)]
    [InlineData(ulong.MaxValue, 1, false)]
    [InlineData(ulong.MaxValue - 3, 8, false)]
    [InlineData(8 * Page, 0, true)]
    public void OnlyRamIsGivenOut(ulong gpa, int length, bool inside)
    {
        using GuestMemory memory = Build(out _);
        Assert.Equal(inside, memory.TryGetSpan(gpa, (uint)length, out Span<byte> span));
        Assert.Equal(inside ? length : 0, span.Length);
        Assert.Equal(inside, memory.Contains(gpa, (ulong)length));
        Assert.Equal(inside, memory.TryGetPointer(gpa, (ulong)length, out nint pointer));
        Assert.Equal(inside, pointer != 0);
    }

    [Fact]
    public void What_is_added_is_ram_for_all_who_ask_afterwards()
    {
        using GuestMemory memory = Build(out MappedMemory mapping);
        IReadOnlyList<RamRegion> before = memory.Regions;
        Assert.False(memory.TryGetSpan(9 * Page, 2 * (uint)Page, out _));
        memory.Add(new RamRegion(10 * Page, 2 * Page, mapping.Address + (nint)(10 * Page)));
        memory.GetSpan((10 * Page) - 4, 8).Fill(0x77);
        memory.Add(new RamRegion(14 * Page, Page, mapping.Address + (nint)(14 * Page)));
        Assert.True(memory.Contains(9 * Page, 3 * Page));
        Assert.True(memory.Contains(14 * Page, Page));
        Assert.False(memory.Contains(12 * Page, 1));
        Assert.Equal((3, 5), (before.Count, memory.Regions.Count));
        Assert.Equal(11 * Page, memory.Size);

        // Not where RAM is, not before it, not at another place of the host's, and not while it is recorded who writes.
        foreach (RamRegion bad in new RamRegion[] { At(14, 14), At(12, 12), At(15, 12) })
        {
            Assert.Throws<ArgumentException>(() => memory.Add(bad));
        }

        memory.StartDirtyTracking();
        Assert.Throws<InvalidOperationException>(() => memory.Add(At(15, 15)));
        memory.StopDirtyTracking();
        memory.Add(At(15, 15));
        memory.StartDirtyTracking();
        memory.MarkDirty(15 * Page, 1);
        var dirty = new DirtyBitmap(memory.Regions);
        memory.CollectDeviceWrites(dirty);
        Assert.True(dirty.IsDirty(5, 0));

        RamRegion At(ulong page, ulong place) => new(page * Page, Page, mapping.Address + (nint)(place * Page));
    }

    [Theory]
    [InlineData(0UL, ulong.MaxValue)]
    [InlineData(8 * Page, ulong.MaxValue - (8 * Page) + 2)]
    [InlineData(5 * Page, 1UL << 63)]
    public void LengthsThatWrapAreOutside(ulong gpa, ulong length)
    {
        using GuestMemory memory = Build(out _);
        Assert.False(memory.Contains(gpa, length));
        Assert.False(memory.TryGetPointer(gpa, length, out _));
    }

    [Fact]
    public void SpanIsTheMappingAtItsPlace()
    {
        using GuestMemory memory = Build(out MappedMemory mapping);
        memory.GetSpan((4 * Page) - 4, 8).Fill(0xab);
        Assert.Equal(unchecked((long)0xabab_abab_abab_abab), System.Runtime.InteropServices.Marshal.ReadInt64(mapping.Address + (nint)(4 * Page) - 4));
        Assert.Equal(8 * Page, memory.Size);
    }

    [Fact]
    public void AccessOutsideRamThrowsWithTheRange()
    {
        using GuestMemory memory = Build(out _);
        GuestAddressException e = Assert.Throws<GuestAddressException>(() => memory.GetSpan(6 * Page, 16));
        Assert.Equal(6 * Page, e.Gpa);
        Assert.Equal(16UL, e.Length);
    }

    [Fact]
    public void RegionsThatOverlapOrLieElsewhereAreRefused()
    {
        Assert.Throws<ArgumentException>(() => new GuestMemory(0x10000, [new RamRegion(0, Page, 0x20000)], null));
        Assert.Throws<ArgumentException>(
            () => new GuestMemory(0x10000, [new RamRegion(0, 2 * Page, 0x10000), new RamRegion(Page, Page, 0x11000)], null));
        Assert.Throws<ArgumentException>(() => new GuestMemory(0x10000, [new RamRegion(0, 100, 0x10000)], null));
        Assert.Throws<ArgumentException>(() => new GuestMemory(0x10000, [new RamRegion(0, 0, 0x10000)], null));
    }

    [Fact]
    public void DeviceWritesAreCollectedOnceAndOnlyWhileTracked()
    {
        using GuestMemory memory = Build(out _);
        var log = new DirtyBitmap(memory.Regions);
        memory.MarkDirty(0, 1);
        memory.StartDirtyTracking();
        memory.MarkDirty((4 * Page) - 1, 2);
        memory.MarkDirty(9 * Page, Page);
        memory.CollectDeviceWrites(log);
        Assert.Equal(3, log.CountPages());
        Assert.True(log.IsDirty(0, 3));
        Assert.True(log.IsDirty(1, 0));
        Assert.True(log.IsDirty(2, 1));
        log.Clear();
        memory.CollectDeviceWrites(log);
        Assert.Equal(0, log.CountPages());
        memory.StopDirtyTracking();
        memory.MarkDirty(0, 1);
        memory.CollectDeviceWrites(log);
        Assert.Equal(0, log.CountPages());
    }
}
