using Cnvm.Hypervisor.Memory;

namespace Cnvm.Hypervisor.Tests;

public sealed class DirtyBitmapTests
{
    private const ulong Page = 4096;

    private static readonly RamRegion[] Regions = [new(0, 100 * Page, 0), new(1 << 20, 70 * Page, 0)];

    [Theory]
    [InlineData(0UL, 1UL, 1)]
    [InlineData(0UL, Page, 1)]
    [InlineData(1UL, Page, 2)]
    [InlineData((100 * Page) - 1, 100UL, 1)]
    [InlineData(100 * Page, Page, 0)]
    [InlineData(0UL, 4UL << 20, 170)]
    [InlineData((1 << 20) + (69 * Page), ulong.MaxValue, 1)]
    [InlineData(ulong.MaxValue, 2UL, 0)]
    [InlineData(5 * Page, 0UL, 0)]
    public void MarkTouchesExactlyThePagesOfTheRange(ulong gpa, ulong length, int pages)
    {
        var bitmap = new DirtyBitmap(Regions);
        bitmap.Mark(gpa, length);
        Assert.Equal(pages, bitmap.CountPages());
    }

    [Fact]
    public void MarksOfManyThreadsAreAllThere()
    {
        var bitmap = new DirtyBitmap(Regions);
        Parallel.For(0, 100, page => bitmap.MarkPage(0, (ulong)page));
        Assert.Equal(100, bitmap.CountPages());
    }

    [Fact]
    public void MergeOrsAndRefusesALongerLog()
    {
        var bitmap = new DirtyBitmap(Regions);
        bitmap.MarkPage(1, 1);
        bitmap.Merge(1, [0b100, 1]);
        Assert.True(bitmap.IsDirty(1, 1));
        Assert.True(bitmap.IsDirty(1, 2));
        Assert.True(bitmap.IsDirty(1, 64));
        Assert.Equal(3, bitmap.CountPages());
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Merge(1, [0, 0, 0]));
    }

    [Fact]
    public void TakeFromMovesEveryBit()
    {
        var from = new DirtyBitmap(Regions);
        var to = new DirtyBitmap(Regions);
        from.MarkPage(0, 99);
        from.MarkPage(1, 0);
        to.MarkPage(1, 69);
        to.TakeFrom(from);
        Assert.Equal(0, from.CountPages());
        Assert.Equal(3, to.CountPages());
        Assert.Equal(1UL, to.Words(1)[0]);
    }

    [Fact]
    public void RegionsAreFoundByTheirPlace()
    {
        var bitmap = new DirtyBitmap(Regions);
        Assert.Equal(1, bitmap.IndexOf(Regions[1] with { HostAddress = 1 }));
        Assert.Throws<ArgumentException>(() => bitmap.IndexOf(new RamRegion(0, Page, 0)));
    }
}
