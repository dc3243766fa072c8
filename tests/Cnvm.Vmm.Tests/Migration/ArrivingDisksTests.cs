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
            Assert.Empty(ArrivingDisks.Obstacles(WithDisk(path), null));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_disk_that_is_missing_is_named()
    {
        string obstacle = Assert.Single(ArrivingDisks.Obstacles(WithDisk("/nonexistent/disk"), null));
        Assert.Contains("disk data", obstacle, StringComparison.Ordinal);
        Assert.Contains("/nonexistent/disk", obstacle, StringComparison.Ordinal);
    }

    /// <summary>A file is cut to whole blocks, and direct I/O may have larger ones here than there.</summary>
    [Theory]
    [InlineData(8192, 8192, true)]
    [InlineData(8192 + 511, 8192, true)]
    [InlineData(8192 + 3584, 8192, true)]
    [InlineData(8192 + 4096, 8192, false)]
    [InlineData(8192 - 512, 8192, false)]
    [InlineData(0, 8192, false)]
    public void A_raw_disk_of_another_size_is_named(int here, int there, bool fits)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[here]);
            var raw = new RawDiskOffers([new RawDiskOffer("other", 1), new RawDiskOffer("data", (ulong)there)]);
            string[] expected = fits ? [] : [$"disk data: {path} has {here} bytes here, and the guest's disk has {there}: it is another file than the source's"];
            Assert.Equal(expected, ArrivingDisks.Obstacles(WithDisk(path), raw));
            Assert.Empty(ArrivingDisks.Obstacles(WithDisk(path), new RawDiskOffers([])));
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>What is raw at the source may be in an image here, unless somebody says that it is raw.</summary>
    [Theory]
    [InlineData(ImageType.Unknown, true)]
    [InlineData(ImageType.Raw, false)]
    public void An_image_of_a_format_has_another_size_than_its_disk(ImageType type, bool fits)
    {
        string path = Path.GetTempFileName();
        try
        {
            byte[] image = [.. "QFI"u8, 0xfb, .. new byte[4092]];
            File.WriteAllBytes(path, image);
            VmConfig config = new() { Disks = [new DiskConfig { Id = "data", Path = path, ImageType = type }] };
            Assert.Equal(fits, !ArrivingDisks.Obstacles(config, new RawDiskOffers([new RawDiskOffer("data", 1 << 20)])).Any());
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static VmConfig WithDisk(string path) => new() { Disks = [new DiskConfig { Id = "data", Path = path }] };
}
