using Cnvm.Micro;

namespace Cnvm.Bench.Tests;

public sealed class AllocationTests
{
    [Fact]
    public void Hot_paths_allocate_nothing()
    {
        var lines = new StringWriter();
        Assert.True(AllocationCheck.Run(lines), lines.ToString());
    }

    [Fact]
    public void An_allocation_is_seen()
    {
        object? kept = null;
        double bytes = AllocationCheck.BytesPerOperation(() => kept = new byte[100]);
        GC.KeepAlive(kept);
        Assert.InRange(bytes, 100, 200);
    }
}
