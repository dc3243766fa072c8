using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>What a target says of the disks of a guest that is still at the source.</summary>
public sealed class ArrivingDisksTests
{
    [Fact]
    public void A_disk_that_the_source_has_locked_is_no_obstacle()
    {
        string path = Path.GetTempFileName();
        try
        {
            // On a network file system the source's lock looks like this one.
            using FileStream locked = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            Assert.Throws<IOException>(() => new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
            Assert.Empty(ArrivingDisks.Obstacles(WithDisk(path)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_disk_that_is_missing_is_named()
    {
        string obstacle = Assert.Single(ArrivingDisks.Obstacles(WithDisk("/nonexistent/disk")));
        Assert.Contains("disk data", obstacle, StringComparison.Ordinal);
        Assert.Contains("/nonexistent/disk", obstacle, StringComparison.Ordinal);
    }

    private static VmConfig WithDisk(string path) => new() { Disks = [new DiskConfig { Id = "data", Path = path }] };
}
