using System.Diagnostics;
using System.Formats.Tar;
using Cnvm.Nested;
using Cnvm.Sandbox.Images;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Images;

/// <summary>Images from the disk become root file systems, whatever they are packed in.</summary>
public sealed class ImageStoreTests : IDisposable
{
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-images-");

    private string Layout => _folder.File("layout");

    private ImageStore Store => new(_folder.File("store"));

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("tar")]
    [InlineData("tar+gzip")]
    [InlineData("tar+zstd")]
    public async Task A_layout_is_unpacked_whatever_its_layers_are_packed_with(string type)
    {
        byte[] layer = new LayerBuilder().Folder("bin").File("bin/sh", "program", (UnixFileMode)0x1ed).Link("bin/ash", "sh").HardLink("bin/dash", "bin/sh").Build();
        var image = new ImageBuilder(Layout)
        {
            Config = """{"Entrypoint":["/bin/sh","-c"],"Cmd":["id"],"Env":["A=b"],"WorkingDir":"/bin","User":"1:2","ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGINT"}""",
        };
        image.Layer(layer, type switch { "tar+gzip" => LayerBuilder.Gzip, "tar+zstd" => LayerBuilder.Zstandard, _ => null }, type).WriteLayout();
        ContainerImage opened = await Store.OpenAsync(Layout);
        Assert.Equal("program", File.ReadAllText(Path.Combine(opened.Rootfs, "bin/dash")));
        Assert.Equal("sh", new FileInfo(Path.Combine(opened.Rootfs, "bin/ash")).LinkTarget);
        Assert.Equal((UnixFileMode)0x1ed, File.GetUnixFileMode(Path.Combine(opened.Rootfs, "bin/sh")));
        Assert.Equal(["/bin/sh", "-c"], opened.Config.Entrypoint);
        Assert.Equal(["id"], opened.Config.Command);
        Assert.Equal(["A=b"], opened.Config.Environment);
        Assert.Equal(("/bin", "1:2", "SIGINT"), (opened.Config.WorkingDirectory, opened.Config.User, opened.Config.StopSignal));
        Assert.Equal(["80/tcp"], opened.Config.ExposedPorts);
        Assert.True(opened.IsShared);
    }

    [Fact]
    public async Task Equal_images_are_unpacked_once_and_a_file_of_a_killed_process_is_replaced()
    {
        new ImageBuilder(Layout).Layer(new LayerBuilder().File("file", "text").Build()).WriteLayout();
        ContainerImage first = await Store.OpenAsync(Layout);
        string marker = Path.Combine(first.Rootfs, "marker");
        File.WriteAllText(marker, "");
        Directory.CreateDirectory(Path.Combine(Store.Folder, "unfinished-0123456789abcdef", "rootfs", "deep"));
        Assert.Equal(first.Rootfs, (await Store.OpenAsync(Layout)).Rootfs);
        Assert.True(File.Exists(marker));
        Directory.Delete(Path.GetDirectoryName(first.Rootfs)!, recursive: true);
        ContainerImage[] both = await Task.WhenAll(Store.OpenAsync(Layout), Store.OpenAsync(Layout));
        Assert.Equal(both[0].Rootfs, both[1].Rootfs);
        Assert.Equal("text", File.ReadAllText(Path.Combine(both[0].Rootfs, "file")));
        Assert.Single(Directory.GetDirectories(Store.Folder));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Archives_are_read_where_they_lie(bool docker)
    {
        byte[] layer = new LayerBuilder().File("file", "text").Build();
        string archive = _folder.File("image.tar");
        var image = new ImageBuilder(Layout);
        image.Layer(layer).Layer(layer);
        if (docker)
        {
            image.WriteDockerArchive(archive, "some/thing:1.0");
        }
        else
        {
            image.WriteLayout("1.0");
            TarFile.CreateFromDirectory(Layout, archive, includeBaseDirectory: false);
        }

        foreach (string source in (string[])[archive, $"{archive}:1.0", docker ? $"docker-archive:{archive}:some/thing:1.0" : $"oci-archive:{archive}:1.0"])
        {
            Assert.Equal("text", File.ReadAllText(Path.Combine((await Store.OpenAsync(source)).Rootfs, "file")));
        }

        ImageException wrong = await Assert.ThrowsAsync<ImageException>(() => Store.OpenAsync($"{archive}:2.0"));
        Assert.Contains("'2.0'", wrong.Message, StringComparison.Ordinal);
        Assert.Contains("1.0", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_without_a_layout_is_a_root_file_system()
    {
        string rootfs = Directory.CreateDirectory(_folder.File("rootfs")).FullName;
        Assert.Equal((rootfs, false), ((await Store.OpenAsync(rootfs)).Rootfs, (await Store.OpenAsync($"dir:{rootfs}")).IsShared));
        SandboxException missing = await Assert.ThrowsAsync<SandboxException>(() => Store.OpenAsync(_folder.File("missing")));
        Assert.Equal(SandboxErrorKind.NotFound, missing.Kind);
    }

    [Fact]
    public async Task Whiteouts_hide_what_lies_below_and_nothing_of_their_own_layer()
    {
        byte[] lower = new LayerBuilder().Folder("gone").File("gone/file", "1").Folder("kept").File("kept/old", "2").File("kept/older", "3")
            .Folder("opaque").File("opaque/low", "4").Folder("opaque/deep").File("opaque/deep/low", "5").File("same", "low").Build();
        byte[] upper = new LayerBuilder().File(".wh.gone", "").File("kept/.wh.old", "").File("opaque/new", "6").Folder("opaque/deep").File("opaque/deep/new", "7")
            .File("opaque/.wh..wh..opq", "").File("same", "high").File(".wh.same", "").Build();
        new ImageBuilder(Layout).Layer(lower).Layer(upper).WriteLayout();
        string rootfs = (await Store.OpenAsync(Layout)).Rootfs;
        Assert.Equal(
            ["kept", "kept/older", "opaque", "opaque/deep", "opaque/deep/new", "opaque/new", "same"],
            Directory.GetFileSystemEntries(rootfs, "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(rootfs, p)).Order(StringComparer.Ordinal));
        Assert.Equal("high", File.ReadAllText(Path.Combine(rootfs, "same")));
    }

    [Fact]
    public async Task What_a_layer_replaces_takes_the_place_whatever_it_was()
    {
        byte[] lower = new LayerBuilder().Folder("a").File("a/file", "1").File("b", "2").Link("c", "/etc").Folder("lib64").Link("lib", "lib64").Build();
        byte[] upper = new LayerBuilder().File("a", "file now").Folder("b").File("b/file", "3").Folder("c").File("c/x", "4").File("lib/y", "5").Build();
        new ImageBuilder(Layout).Layer(lower).Layer(upper).WriteLayout();
        string rootfs = (await Store.OpenAsync(Layout)).Rootfs;
        Assert.Equal(("file now", "3", "4"), (Read("a"), Read("b/file"), Read("c/x")));
        Assert.Null(new DirectoryInfo(Path.Combine(rootfs, "c")).LinkTarget);

        // A link to a folder of the image stays, and what is put through it is behind it.
        Assert.Equal(("lib64", "5"), (new DirectoryInfo(Path.Combine(rootfs, "lib")).LinkTarget, Read("lib64/y")));

        string Read(string name) => File.ReadAllText(Path.Combine(rootfs, name));
    }

    [SkippableFact]
    public async Task Owners_modes_times_devices_and_capabilities_are_kept_as_root()
    {
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root can make files of others");
        var time = new DateTimeOffset(2001, 2, 3, 4, 5, 6, TimeSpan.Zero);
        byte[] layer = new LayerBuilder()
            .Add(TarEntryType.Directory, "dir", e => (e.Uid, e.Gid, e.Mode, e.ModificationTime) = (3, 4, (UnixFileMode)0x16d, time))
            .Add(TarEntryType.RegularFile, "dir/set", e => (e.Uid, e.Gid, e.Mode, e.ModificationTime) = (1000, 70000, (UnixFileMode)0x9ed, time))
            .Add(TarEntryType.Fifo, "pipe", e => e.Mode = (UnixFileMode)0x1b6)
            .Add(TarEntryType.RegularFile, "ping", e =>
            {
                e.DataStream = new MemoryStream([1]);
            })
            .Build();
        new ImageBuilder(Layout).Layer(layer).WriteLayout();
        string rootfs = (await Store.OpenAsync(Layout)).Rootfs;
        Assert.Equal("3:4:555:981173106", Stat("dir"));
        Assert.Equal("1000:70000:4755:981173106", Stat("dir/set"));
        Assert.Equal("fifo", Run("stat", "-c", "%F", Path.Combine(rootfs, "pipe")));

        string Stat(string name) => Run("stat", "-c", "%u:%g:%a:%Y", Path.Combine(rootfs, name));
    }

    [Theory]
    [InlineData("arm64", "arm64")]
    [InlineData("riscv64", "riscv64")]
    public async Task Images_for_other_machines_are_refused_by_name(string architecture, string named)
    {
        new ImageBuilder(Layout) { Architecture = architecture }.Layer(new LayerBuilder().File("a", "b").Build()).WriteLayout();
        ImageException refused = await Assert.ThrowsAsync<ImageException>(() => Store.OpenAsync(Layout));
        Assert.Contains(named, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_several_platforms_this_one_is_taken()
    {
        var image = new ImageBuilder(Layout);
        string mine = image.Layer(new LayerBuilder().File("a", "b").Build()).WriteLayout();
        string other = mine[..^1] + ""","platform":{"os":"linux","architecture":"arm64"}}""";
        string own = mine[..^1] + ""","platform":{"os":"linux","architecture":"amd64"}}""";
        string blobs = Path.Combine(Layout, "blobs", "sha256");
        byte[] index = System.Text.Encoding.UTF8.GetBytes($$"""{"schemaVersion":2,"manifests":[{{other}},{{own}}]}""");
        image.WriteIndex(ImageBuilder.Blob(blobs, index, "application/vnd.oci.image.index.v1+json"));
        Assert.Equal("b", File.ReadAllText(Path.Combine((await Store.OpenAsync(Layout)).Rootfs, "a")));
        image.WriteIndex(other);
        Assert.Contains("linux/arm64", (await Assert.ThrowsAsync<ImageException>(() => Store.OpenAsync(Layout))).Message, StringComparison.Ordinal);
    }

    private static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return output.Trim();
    }
}
