using Cnvm.Nested;
using Cnvm.Sandbox.Images;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Images;

/// <summary>Images that skopeo fetches; a script that copies a layout is skopeo here.</summary>
public sealed class RemoteImageTests : IDisposable
{
    private const string Image = "docker://registry.invalid/one:1";
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-remote-");
    private readonly string? _path = Environment.GetEnvironmentVariable("PATH");

    public RemoteImageTests()
    {
        new ImageBuilder(Layout).Layer(new LayerBuilder().File("file", "text").Build()).WriteLayout();
        string program = _folder.File("skopeo");
        File.WriteAllText(program, $$"""
            #!/bin/bash
            printf '%s\n' "$*" >>"{{Calls}}"
            case $2 in
                *slow) echo $$ >"{{Started}}.new"; mv "{{Started}}.new" "{{Started}}"; exec sleep 100 ;;
                *nothing) exit 0 ;;
            esac
            [ ! -e "{{Broken}}" ] || exit 7
            cp -r "{{Layout}}" "${3#oci:}"
            """);
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // In front of the others': whoever else runs programs meanwhile finds them as before.
        Environment.SetEnvironmentVariable("PATH", $"{_folder.Path}:{_path}");
    }

    private string Layout => _folder.File("layout");

    private string Calls => _folder.File("calls");

    private string Started => _folder.File("started");

    private string Broken => _folder.File("broken");

    private ImageStore Store => new(_folder.File("store"));

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("PATH", _path);
        _folder.Dispose();
    }

    [Theory]
    [InlineData("docker://debian", true)]
    [InlineData("docker-daemon:debian:latest", true)]
    [InlineData("containers-storage:debian", true)]
    [InlineData("docker-archive:debian.tar", false)]
    [InlineData("oci:debian", false)]
    [InlineData("docker:", false)]
    [InlineData("debian", false)]
    public void What_has_to_be_fetched_says_so(string source, bool isRemote) => Assert.Equal(isRemote, ImageStore.IsRemote(source));

    [Fact]
    public async Task An_image_is_fetched_once_and_again_when_that_is_asked_for()
    {
        // A process that was killed has left this.
        string left = Path.Combine(Store.Folder, "fetching-0123456789ab", "layout-");
        Directory.CreateDirectory(left);
        File.SetUnixFileMode(Store.Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        ContainerImage opened = await Store.OpenAsync(Image);

        Assert.Equal("text", File.ReadAllText(Path.Combine(opened.Rootfs, "file")));
        Assert.Matches($"^copy {Image} oci:{Store.Folder}/fetching-[0-9a-f]{{12}}/layout-$", Assert.Single(File.ReadAllLines(Calls)));
        Assert.False(Directory.Exists(left));
        Assert.Equal(opened.Rootfs, (await Store.OpenAsync(Image)).Rootfs);
        Assert.Single(File.ReadAllLines(Calls));

        // The name means another image now.
        Directory.Delete(Layout, recursive: true);
        new ImageBuilder(Layout).Layer(new LayerBuilder().File("file", "newer").Build()).WriteLayout();
        string layout = await Store.FetchAsync(Image, again: true);
        Assert.Equal("newer", File.ReadAllText(Path.Combine((await Store.OpenAsync(Image)).Rootfs, "file")));
        Assert.Equal(2, File.ReadAllLines(Calls).Length);

        // What cannot be fetched again stays as it was.
        File.WriteAllText(Broken, "");
        await Assert.ThrowsAsync<SandboxException>(() => Store.FetchAsync(Image, again: true));
        Assert.Equal("newer", File.ReadAllText(Path.Combine((await Store.OpenAsync(layout)).Rootfs, "file")));
        Assert.Empty(Directory.GetDirectories(Store.Folder, "fetching-*"));
    }

    [Fact]
    public async Task Two_at_once_have_the_same_image()
    {
        ContainerImage[] both = await Task.WhenAll(Store.OpenAsync(Image), Store.OpenAsync(Image));
        Assert.Equal(both[0].Rootfs, both[1].Rootfs);
        Assert.Equal("text", File.ReadAllText(Path.Combine(both[1].Rootfs, "file")));
        Assert.Single(Directory.GetDirectories(Store.Folder, "layout-*"));
        Assert.Empty(Directory.GetDirectories(Store.Folder, "fetching-*"));
    }

    [Theory]
    [InlineData("docker://broken", "exit code 7")]
    [InlineData("docker://nothing", "exit code 0")]
    public async Task What_skopeo_cannot_fetch_is_said_and_leaves_nothing(string image, string said)
    {
        File.WriteAllText(Broken, "");
        SandboxException failed = await Assert.ThrowsAsync<SandboxException>(() => Store.OpenAsync(image));
        Assert.Equal(SandboxErrorKind.Host, failed.Kind);
        Assert.Contains($"skopeo did not fetch {image}", failed.Message, StringComparison.Ordinal);
        Assert.Contains(said, failed.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(Store.Folder));
    }

    [Fact]
    public async Task A_fetch_that_is_given_up_ends_skopeo()
    {
        using var given = new CancellationTokenSource();
        Task<string> fetching = Store.FetchAsync("docker://slow", cancellation: given.Token);
        for (int i = 0; i < 600 && !File.Exists(Started); i++)
        {
            await Task.Delay(50);
        }

        string process = File.ReadAllText(Started).Trim();
        Assert.True(Directory.Exists($"/proc/{process}"));
        await given.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => fetching.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.False(Directory.Exists($"/proc/{process}"));
        Assert.Empty(Directory.GetDirectories(Store.Folder));
    }
}
