using System.Diagnostics;
using Cnvm.Linux;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Tasks;
using Cnvm.Shim.Tests.Harness;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests;

/// <summary>Root file systems: options, and mounts that go again.</summary>
public sealed class MountTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cnvm-shim-").FullName;

    [Fact]
    public void Options_are_flags_and_what_a_file_system_takes_itself()
    {
        MountOptions options = MountOptions.Parse(["index=off", "ro", "workdir=/w", "nosuid", "noexec", "exec", "lowerdir=/a:/b", "rbind", "defaults"]);
        Assert.Equal(
            (Mounts.MS_RDONLY | Mounts.MS_NOSUID | Mounts.MS_BIND | Mounts.MS_REC, "index=off,workdir=/w,lowerdir=/a:/b", false),
            (options.Words.Flags, options.Words.Data, options.IsLoop));
        Assert.Equal((0ul, ""), MountOptions.Parse(["ro", "rw"]).Words is var both ? (both.Flags, both.Data) : default);
        Assert.Equal((Mounts.MS_PRIVATE | Mounts.MS_REC, ""), MountOptions.Parse(["rprivate"]).Words is var kept ? (kept.Propagation, kept.Data) : default);
        Assert.True(MountOptions.Parse(["loop"]).IsLoop);
    }

    [Theory]
    [InlineData("index=off,lowerdir=/s/12/fs:/s/13/fs,upperdir=/s/14/fs", "/s/", "index=off,lowerdir=12/fs:13/fs,upperdir=/s/14/fs")]
    [InlineData("lowerdir=/s/1/fs:/s/12/fs", "/s/", "lowerdir=1/fs:12/fs")]
    [InlineData("lowerdir=/s/1:/s/2", "/s/", "lowerdir=1:2")]
    [InlineData("lowerdir=/a/1:/b/2", null, null)]
    [InlineData("lowerdir=/s/1", null, null)]
    [InlineData("lowerdir=s/1:s/2", null, null)]
    [InlineData("size=1", null, null)]
    public void Many_lower_folders_are_named_from_a_common_one(string data, string? directory, string? shorter) =>
        Assert.Equal(directory is null ? null : (directory, shorter!), RootMount.Compact(data));

    [SkippableFact]
    public async Task A_root_is_mounted_for_the_container_and_goes_with_it()
    {
        ThrowUnlessMounts();
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string bundle = shim.MakeBundle("c1", ":");
        string source = MakeFolder("source");
        File.WriteAllText(Path.Combine(source, "file"), "text");
        await shim.Client.CreateAsync(new CreateTaskRequest
        {
            Id = "c1", Bundle = bundle, Rootfs = [new Mount { Type = "bind", Source = source, Options = ["rbind", "ro"] }],
        });

        string root = shim.Factory.Sandboxes[0].Containers.Single().Settings.Rootfs;
        Assert.Equal(Path.Combine(bundle, "rootfs"), root);
        Assert.Equal("text", File.ReadAllText(Path.Combine(root, "file")));
        Assert.ThrowsAny<IOException>(() => File.WriteAllText(Path.Combine(root, "file"), "other"));

        await shim.Client.DeleteAsync("c1");
        Assert.Empty(Directory.EnumerateFileSystemEntries(root));
    }

    [SkippableFact]
    public void More_lower_folders_than_a_page_has_names_for_are_mounted()
    {
        ThrowUnlessMounts();
        string layers = MakeFolder("layers-with-a-long-name-so-that-few-of-them-are-more-than-the-kernel-takes");
        List<string> lower = [];
        for (int i = 0; i < 60; i++)
        {
            lower.Add(MakeFolder(Path.Combine(layers, $"{i}")));
            File.WriteAllText(Path.Combine(lower[i], $"file{i}"), "");
        }

        string bundle = MakeFolder("bundle");
        string[] options = ["index=off", $"lowerdir={string.Join(':', lower)}"];
        Assert.True(string.Join(',', options).Length > 4096);
        RootMount root;
        try
        {
            root = RootMount.Make([new Mount { Type = "overlay", Source = "overlay", Options = options }], bundle, "");
        }
        catch (TtrpcException e) when (e.Message.Contains("errno 22", StringComparison.Ordinal) || e.Message.Contains("errno 19", StringComparison.Ordinal))
        {
            throw new SkipException($"overlays cannot be made on this host's {_directory}: {e.Message}");
        }

        Assert.Equal(60, Directory.GetFiles(root.Path).Length);
        root.Unmount();
        Assert.Empty(Directory.GetFiles(root.Path));
        root.Unmount();
    }

    [SkippableFact]
    public void A_root_that_cannot_be_mounted_leaves_nothing_mounted()
    {
        ThrowUnlessMounts();
        string bundle = MakeFolder("bundle");
        string source = MakeFolder("source");
        var good = new Mount { Type = "bind", Source = source, Options = ["bind"] };
        Mount[] bad =
        [
            new() { Type = "nosuchfs", Source = "x" },
            new() { Type = "bind", Source = source, Options = ["bind"], Target = "../../outside" },
            new() { Type = "ext4", Source = source, Options = ["loop"] },
            new() { Type = "tmpfs", Source = "x", Options = [new string('x', 5000)] },
        ];
        foreach (Mount mount in bad)
        {
            Assert.Throws<TtrpcException>(() => RootMount.Make([good, mount], bundle, ""));
            Assert.DoesNotContain(bundle, File.ReadAllText("/proc/self/mounts"), StringComparison.Ordinal);
        }

        Assert.Equal(TtrpcCode.NotFound, Assert.Throws<TtrpcException>(() => RootMount.Make([], bundle, "nothing")).Code);
    }

    public void Dispose()
    {
        foreach (string folder in Directory.EnumerateDirectories(_directory, "rootfs", SearchOption.AllDirectories))
        {
            Mounts.UnmountAll(folder);
        }

        Directory.Delete(_directory, true);
    }

    private static void ThrowUnlessMounts()
    {
        using Process probe = Process.Start("/usr/bin/unshare", ["--mount", "true"]);
        probe.WaitForExit();
        Skip.If(probe.ExitCode != 0, "this process may not mount");
    }

    private string MakeFolder(string name) => Directory.CreateDirectory(Path.Combine(_directory, name)).FullName;
}
