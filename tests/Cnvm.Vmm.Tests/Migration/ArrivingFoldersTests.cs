using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>What a target says of the shared folders of a guest that is still at the source.</summary>
public sealed class ArrivingFoldersTests
{
    [Fact]
    public void A_folder_that_is_here_is_no_obstacle()
    {
        Assert.Empty(ArrivingFolders.Obstacles(WithFolder("/tmp")));
        Assert.Empty(ArrivingFolders.Obstacles(new VmConfig()));
    }

    [Theory]
    [InlineData("/nonexistent/folder")]
    [InlineData("/proc/version")]
    public void What_is_no_folder_is_named(string path)
    {
        string obstacle = Assert.Single(ArrivingFolders.Obstacles(WithFolder(path)));
        Assert.Contains("fs share0", obstacle, StringComparison.Ordinal);
        Assert.Contains(path, obstacle, StringComparison.Ordinal);
    }

    private static VmConfig WithFolder(string path) => new() { Fs = [new FsConfig("share") { Id = "share0", Path = path }] };
}
