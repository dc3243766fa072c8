using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Machines;

/// <summary>Templates: what a sandbox from one has of its own, and how they are kept.</summary>
public sealed class TemplateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-templates").FullName;

    private string Store => Path.Combine(_folder, "store");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Folders_take_the_places_of_those_that_the_template_was_made_with()
    {
        string template = Directory.CreateDirectory(Path.Combine(_folder, "template")).FullName;
        File.WriteAllText(Path.Combine(template, "config.json"), """
            {"vsock":{"cid":3,"socket":"/old/vsock.sock"},"serial":{"mode":"File","file":"/old/console.log"},"fs":[
            {"tag":"kataShared","path":"/old/shared"},{"tag":"folder0","path":"/old/image","readonly":true},{"tag":"folder1","path":"/old/volume"}]}
            """);
        string image = Directory.CreateDirectory(Path.Combine(_folder, "image")).FullName;
        string volume = Directory.CreateDirectory(Path.Combine(_folder, "volume")).FullName;
        await using var vmm = new FakeVmm(happened: "vm resumed");
        SandboxOptions options = vmm.Options with { Template = template, Kernel = null, Initramfs = null };

        SharedFolder[][] wrong =
        [
            [new(image, true), new(volume, true)], [new(image, false)], [new(image, true), new(volume, false), new(volume, false)],
        ];
        foreach (SharedFolder[] folders in wrong)
        {
            SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(options with { Folders = folders }));
            Assert.Equal(SandboxErrorKind.Invalid, refused.Kind);
            Assert.Contains("no place in the template", refused.Message, StringComparison.Ordinal);
        }

        await using SandboxVm sandbox = await vmm.StartAsync(options with { Folders = [new(image, true), new(volume, false)] });
        string config = File.ReadAllText(Path.Combine(sandbox.Folder, "template", "config.json"));
        Assert.DoesNotContain("/old", config, StringComparison.Ordinal);
        Assert.Contains($$"""{"tag":"folder0","path":"{{image}}","readonly":true},{"tag":"folder1","path":"{{volume}}"}""", config, StringComparison.Ordinal);
        Assert.Contains(vmm.Agent!.Single<Cnvm.Agent.Protocol.CreateSandboxRequest>().Storages, s => s.MountPoint == "/run/kata-containers/folders/1");
    }

    [Fact]
    public async Task One_is_made_for_each_kind_of_sandbox_and_only_once()
    {
        await using var vmm = new FakeVmm();
        var store = new TemplateStore(Store);
        SandboxOptions options = vmm.Options with { Name = "first", Folders = [new(_folder, true)] };
        Task<string?> making = store.OpenAsync(options);
        await vmm.AppearAsync(options.Folder!);
        string? template = await making;
        Assert.NotNull(template);
        Assert.Equal(["PUT vm.pause", $$"""PUT vm.snapshot {"destination_url":"file://{{Store}}/making/{{Path.GetFileName(Path.GetDirectoryName(template))}}/saved"}"""], vmm.Calls);
        Assert.False(Directory.Exists(options.Folder));
        Assert.Equal((UnixFileMode)0x1c0, File.GetUnixFileMode(Store));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(Store, "making")));

        // What differs from sandbox to sandbox does not matter; nothing is started for it.
        Assert.Equal(template, await store.OpenAsync(options with { Name = "second", Folders = [new("/tmp", true)], Hostname = "h" }));
        Assert.Equal(template, await new TemplateStore(Store).OpenAsync(options));
    }

    [Fact]
    public async Task What_differs_has_another_one_and_what_fails_leaves_nothing()
    {
        await using var sound = new FakeVmm();
        var store = new TemplateStore(Store);
        Task<string?> making = store.OpenAsync(sound.Options);
        await sound.AppearAsync(sound.Options.Folder!);
        Assert.NotNull(await making);

        // A sandbox cannot have that folder, so that what would have been made anew fails.
        SandboxOptions same = sound.Options with { Folder = "/proc" };
        Assert.NotNull(await store.OpenAsync(same));
        string kernel = Path.Combine(_folder, "kernel");
        File.Copy(sound.Program, kernel);
        SandboxOptions[] others =
        [
            same with { Cpus = 2 }, same with { MemoryBytes = 128L << 20 }, same with { Kernel = kernel }, same with { Initramfs = kernel }, same with { VmmPath = kernel },
            same with { KernelArguments = "debug" }, same with { Hypervisor = "soft" }, same with { VmmArguments = ["-v"] },
            same with { Folders = [new(_folder, true)] }, same with { Folders = [new(_folder, false)] },
        ];
        string[] before = Directory.GetDirectories(Store);
        foreach (SandboxOptions options in others)
        {
            SandboxException failed = await Assert.ThrowsAsync<SandboxException>(() => store.OpenAsync(options));
            Assert.Equal(SandboxErrorKind.AlreadyExists, failed.Kind);
        }

        Assert.Equal(before, Directory.GetDirectories(Store));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(Store, "making")));
        Assert.Contains("no network", (await Assert.ThrowsAsync<SandboxException>(() => store.OpenAsync(sound.Options with { Cpus = 3, Network = new SandboxNetwork.Tap("t") }))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_one_is_made_others_boot_and_what_a_killed_one_left_is_removed()
    {
        string left = Directory.CreateDirectory(Path.Combine(Store, "making", "0123456789abcdef")).FullName;
        File.SetUnixFileMode(Store, (UnixFileMode)0x1c0);
        await using var vmm = new FakeVmm();
        var store = new TemplateStore(Store);
        Task<string?> making = store.OpenAsync(vmm.Options);
        Assert.Null(await new TemplateStore(Store).OpenAsync(vmm.Options));
        await vmm.AppearAsync(vmm.Options.Folder!);
        Assert.NotNull(await making);
        Assert.False(Directory.Exists(left));

        File.SetUnixFileMode(Store, (UnixFileMode)0x1ed);
        Assert.Contains("chmod 700", (await Assert.ThrowsAnyAsync<IOException>(() => store.OpenAsync(vmm.Options))).Message, StringComparison.Ordinal);
    }
}
