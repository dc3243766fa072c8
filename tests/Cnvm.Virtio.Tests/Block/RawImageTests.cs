using System.Diagnostics;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.Block;

public sealed class RawImageTests : IDisposable
{
    private readonly ScratchDisk _disk = new(1000 * 1000);

    public void Dispose() => _disk.Dispose();

    [Fact]
    public void Size_is_whole_sectors()
    {
        using RawImage image = RawImage.Open(new RawImageOptions { Path = _disk.Path });
        Assert.Equal(1000UL * 1000 / 512 * 512, image.Size);
        Assert.Equal(512u, image.LogicalBlockSize);
        Assert.True(image.CanDiscard);
    }

    [Theory]
    [InlineData(false, false, true)]
    [InlineData(false, true, true)]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    public void One_writer_or_many_readers(bool firstReadOnly, bool secondReadOnly, bool conflict)
    {
        RawImageOptions options = new() { Path = _disk.Path };
        using RawImage first = RawImage.Open(options with { IsReadOnly = firstReadOnly });
        if (!conflict)
        {
            RawImage.Open(options with { IsReadOnly = secondReadOnly }).Dispose();
            return;
        }

        BlockImageException e = Assert.Throws<BlockImageException>(() => RawImage.Open(options with { IsReadOnly = secondReadOnly }));
        Assert.Contains("in use", e.Message, StringComparison.Ordinal);
        Assert.Contains(_disk.Path, e.Message, StringComparison.Ordinal);
        Assert.Contains($"process {Environment.ProcessId}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_lock_goes_with_the_image()
    {
        RawImage.Open(new RawImageOptions { Path = _disk.Path }).Dispose();
        RawImage.Open(new RawImageOptions { Path = _disk.Path, LockWholeFile = true }).Dispose();
    }

    [Theory]
    [InlineData("/nonexistent/disk", "no such file")]
    [InlineData("/dev/null", "neither")]
    [InlineData("/tmp", "cannot be opened")]
    public void What_is_not_a_disk_is_refused(string path, string reason)
    {
        BlockImageException e = Assert.Throws<BlockImageException>(() => RawImage.Open(new RawImageOptions { Path = path }));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_block_device_tells_its_geometry()
    {
        Skip.IfNot(Environment.UserName == "root", "loop devices need root");
        using ScratchDisk file = new(1024 * 1024);
        string? device = Run("losetup", "--find", "--show", "--sector-size", "4096", file.Path);
        Skip.If(device is null, "losetup cannot make a loop device here");
        try
        {
            using RawImage image = RawImage.Open(new RawImageOptions { Path = device });
            Assert.Equal((1024UL * 1024, 4096u), (image.Size, image.LogicalBlockSize));
            Assert.True(image.PhysicalBlockSize >= 4096);
        }
        finally
        {
            Run("losetup", "--detach", device);
        }
    }

    private static string? Run(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            string output = process.StandardOutput.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }
}
