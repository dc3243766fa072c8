using Cnvm.Guest.Tests.Containers;
using Cnvm.Linux;
using Cnvm.Nested;
using Cnvm.Sandbox;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>Containers in sandboxes of the library, with the real agent.</summary>
public sealed class Sandboxes(SandboxFixture fixture) : IClassFixture<SandboxFixture>
{
    [SkippableFact]
    public async Task A_container_prints_takes_input_and_ends_with_its_exit_code()
    {
        SandboxFixture.SkipWithout();
        const string Script =
            "cat; cat /tmp/copied; busybox stat -c '%a %u %s' /opt/deep/large; busybox sha256sum </opt/deep/large; echo problem >&2; echo x >/made; cat /made; exit 42";
        SandboxOptions options = fixture.Options with { Folders = [new SharedFolder(fixture.Rootfs, true)] };
        string folder = options.Folder!;
        await using (SandboxVm sandbox = await SandboxVm.StartAsync(options))
        {
            Container container = await sandbox.CreateContainerAsync(
                "first", new ContainerOptions(new ContainerRootfs(fixture.Rootfs), new ProcessOptions(["sh", "-c", Script])));
            const string Root = "/run/kata-containers/overlays/first/rootfs";
            File.WriteAllText(fixture.PathOf("copied"), "copied\n");
            await sandbox.CopyToGuestAsync(fixture.PathOf("copied"), Root + "/tmp/copied");

            // One that goes in several parts, into a folder that is not there yet.
            byte[] large = System.Security.Cryptography.RandomNumberGenerator.GetBytes(2_500_001);
            File.WriteAllBytes(fixture.PathOf("large"), large);
            File.SetUnixFileMode(fixture.PathOf("large"), UnixFileMode.UserRead | UnixFileMode.UserExecute | UnixFileMode.GroupRead);
            await sandbox.CopyToGuestAsync(fixture.PathOf("large"), Root + "/opt/deep/large");
            await container.StartAsync();
            await container.Process.StandardInput.WriteAsync("input\n"u8.ToArray());
            await container.Process.StandardInput.DisposeAsync();
            string digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(large));
            Assert.Equal($"input\ncopied\n540 0 2500001\n{digest}  -\nx\n", await new StreamReader(container.Process.StandardOutput).ReadToEndAsync());
            Assert.Equal("problem\n", await new StreamReader(container.Process.StandardError).ReadToEndAsync());
            Assert.Equal(42, await container.Process.WaitAsync());
            await container.RemoveAsync();

            // A bundle whose hooks would have to run on the host is refused by their name, and nothing is left of it.
            byte[] hooked = """{"ociVersion":"1.0.2","process":{"args":["true"],"cwd":"/"},"hooks":{"poststop":[{"path":"/bin/hook"}]}}"""u8.ToArray();
            SandboxException refused = await Assert.ThrowsAsync<SandboxException>(
                () => sandbox.CreateContainerAsync("second", hooked, new ContainerRootfs(fixture.Rootfs)));
            Assert.Contains("hooks.poststop (/bin/hook)", refused.Message, StringComparison.Ordinal);

            // What a container wrote is gone with it, and the folder is as it was.
            Assert.Equal("no", await AskAsync(sandbox, "second", "[ -e /made ] && echo yes || echo no"));
            Assert.False(File.Exists(Path.Combine(fixture.Rootfs, "made")));
        }

        Assert.False(Directory.Exists(folder));
    }

    [SkippableFact]
    public async Task A_container_has_a_disk_of_its_own_which_goes_with_it()
    {
        SandboxFixture.SkipWithout("/sbin/mkfs.ext4");
        string image = fixture.PathOf("disk.img");
        Assert.Equal(0, fixture.Run("/sbin/mkfs.ext4", null, "-q", image, "8M").ExitCode);
        await using SandboxVm sandbox = await SandboxVm.StartAsync(fixture.Options with { Folders = [new SharedFolder(fixture.Rootfs, true)] });
        var removed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        sandbox.Happened += e =>
        {
            if (e is { Source: "vm", Name: "device-removed" })
            {
                removed.TrySetResult();
            }
        };
        Assert.Equal(
            "ext4", await AskAsync(sandbox, "writes", "awk '$2 == \"/data\" { print $3 }' /proc/mounts; echo kept >/data/file", new ContainerDisk(image, "/data")));
        await removed.Task.WaitAsync(GuestVm.Patience);

        // Others can have it then, and a read-only one cannot be written.
        Assert.Equal(
            "kept\nread-only", await AskAsync(sandbox, "reads", "cat /data/file; echo more 2>/dev/null >/data/file || echo read-only", new ContainerDisk(image, "/data", ReadOnly: true)));
        SandboxException missing = await Assert.ThrowsAsync<SandboxException>(() => AskAsync(sandbox, "none", "true", new ContainerDisk(image + "x", "/data")));
        Assert.Equal(SandboxErrorKind.NotFound, missing.Kind);
    }

    [SkippableFact]
    public async Task A_kernel_of_another_build_beside_the_initramfs_is_refused()
    {
        SandboxFixture.SkipWithout();
        string folder = Directory.CreateDirectory(fixture.PathOf("mixed")).FullName;
        string kernel = Path.Combine(folder, "vmlinux-small");
        string initramfs = Path.Combine(folder, "sandbox-initramfs.cpio");
        File.Copy(SandboxFixture.Initramfs, initramfs);
        string id = File.ReadLines(Path.Combine(Repository.Images, "sandbox-version")).Last();
        Assert.StartsWith("kernel ", id, StringComparison.Ordinal);
        byte[] content = File.ReadAllBytes(SandboxFixture.Kernel);
        int place = content.AsSpan().IndexOf(Convert.FromHexString(id["kernel ".Length..]));
        Assert.True(place > 0, $"{SandboxFixture.Kernel} does not have the {id} that {Repository.Images}/sandbox-version names");
        content[place] ^= 1;
        File.WriteAllBytes(kernel, content);
        SandboxOptions options = fixture.Options with { Kernel = kernel, Initramfs = initramfs };
        SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(options));
        Assert.Equal(SandboxErrorKind.Incompatible, refused.Kind);
        Assert.Contains(id["kernel ".Length..], refused.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(options.Folder));
    }

    [SkippableFact]
    public async Task Further_processes_terminals_signals_and_a_killed_vmm()
    {
        SandboxFixture.SkipWithout();
        await using SandboxVm sandbox = await SandboxVm.StartAsync(fixture.Options with { Folders = [new SharedFolder(fixture.Rootfs, true)] });
        Container container = await StartAsync(sandbox, "c", "sleep 1000");
        SandboxProcess terminal = await container.ExecAsync(new ProcessOptions(["sh", "-c", "stty size; tty; exit 3"]) { Terminal = true });
        await terminal.ResizeAsync(100, 40);
        string said = await new StreamReader(terminal.StandardOutput).ReadToEndAsync();
        Assert.Equal(3, await terminal.WaitAsync());
        Assert.Contains("/dev/pts/", said, StringComparison.Ordinal);
        SandboxProcess sleeping = await container.ExecAsync(new ProcessOptions(["sleep", "1000"]));
        await sleeping.SignalAsync(9);
        Assert.Equal(137, await sleeping.WaitAsync());
        SandboxException missing = await Assert.ThrowsAsync<SandboxException>(() => container.ExecAsync(new ProcessOptions(["nosuch"])));
        Assert.Contains("nosuch", missing.Message, StringComparison.Ordinal);

        Task<int> waiting = container.Process.WaitAsync();
        using (var vmm = System.Diagnostics.Process.GetProcessById(sandbox.VmmProcessId))
        {
            vmm.Kill();
        }

        SandboxException gone = await Assert.ThrowsAsync<SandboxException>(() => waiting.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(SandboxErrorKind.Gone, gone.Kind);
        Assert.Contains("signal 9", gone.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Sandboxes_go_on_from_a_template_with_a_clock_and_folders_of_their_own()
    {
        SandboxFixture.SkipWithout();
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root can mount folders into a sandbox that runs");
        string template = fixture.PathOf("template");
        await SandboxVm.MakeTemplateAsync(fixture.Options, template);
        SandboxOptions options = fixture.Options with { Template = template, Kernel = null, Initramfs = null };
        await using SandboxVm one = await SandboxVm.StartAsync(options);
        await using SandboxVm two = await SandboxVm.StartAsync(options with { Folder = fixture.PathOf("two") });
        foreach (SandboxVm sandbox in (SandboxVm[])[one, two])
        {
            long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            Assert.InRange(long.Parse(await AskAsync(sandbox, "clock", "date +%s")), now - 5, now + 60);
        }

        string rootfs = one.Folder;
        await one.DisposeAsync();
        Assert.False(Directory.Exists(rootfs));
        Assert.True(File.Exists(Path.Combine(fixture.Rootfs, "bin", "busybox")));
        Assert.Equal("still", await AskAsync(two, "still", "echo still"));
    }

    [SkippableFact]
    public async Task Many_processes_that_are_killed_leave_nothing()
    {
        const int AtOnce = 4;
        int rounds = Soak.IsOn ? 2000 : 30;
        SandboxFixture.SkipWithout();
        await using SandboxVm sandbox = await SandboxVm.StartAsync(fixture.Options with { Folders = [new SharedFolder(fixture.Rootfs, true)] });
        Container container = await StartAsync(sandbox, "busy", "exec sleep 100000");
        await KillSomeAsync();
        string processes = await CountAsync();
        int descriptors = Directory.GetFiles($"/proc/{sandbox.VmmProcessId}/fd").Length;
        for (int round = 0; round < rounds; round++)
        {
            await KillSomeAsync();
        }

        Assert.Equal(processes, await CountAsync());

        // A connection may be going, here or before; each process that left one would make a hundred.
        Assert.InRange(Directory.GetFiles($"/proc/{sandbox.VmmProcessId}/fd").Length, descriptors - AtOnce, descriptors + AtOnce);

        Task KillSomeAsync() => Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async _ =>
        {
            SandboxProcess process = await container.ExecAsync(new ProcessOptions(["sleep", "1000"]));
            Task<string> output = new StreamReader(process.StandardOutput).ReadToEndAsync();
            await process.SignalAsync(9);
            Assert.Equal(137, await process.WaitAsync());
            Assert.Equal("", await output);
        }));

        async Task<string> CountAsync()
        {
            SandboxProcess counting = await container.ExecAsync(new ProcessOptions(["sh", "-c", "set -- /proc/[0-9]*; echo $#"]));
            return await new StreamReader(counting.StandardOutput).ReadToEndAsync();
        }
    }

    [SkippableFact]
    public async Task A_full_disk_fails_what_needs_room_and_nothing_else()
    {
        SandboxFixture.SkipWithout();
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root can mount a small disk");
        string disk = Directory.CreateDirectory(fixture.PathOf("disk")).FullName;
        Mounts.Mount("tmpfs", disk, "tmpfs", 0, "size=4m");
        try
        {
            await using SandboxVm sandbox = await SandboxVm.StartAsync(
                fixture.Options with { Folders = [new SharedFolder(fixture.Rootfs, true), new SharedFolder(disk, false)] });
            Container container = await sandbox.CreateContainerAsync(
                "full",
                new ContainerOptions(
                    new ContainerRootfs(fixture.Rootfs), new ProcessOptions(["sh", "-c", "cat /dev/zero >/disk/full; echo $?; echo more >/disk/more; echo $?; exec sleep 1000"]))
                {
                    Volumes = [new ContainerVolume(disk, "/disk", false)],
                });
            await container.StartAsync();
            var errors = new StreamReader(container.Process.StandardError);
            var output = new StreamReader(container.Process.StandardOutput);
            Assert.Contains("No space left", await errors.ReadLineAsync(), StringComparison.Ordinal);
            Assert.Equal("1", await output.ReadLineAsync());
            Assert.Equal("1", await output.ReadLineAsync());

            // Saving needs room; without it the guest goes on as if nothing had been asked.
            SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => sandbox.SnapshotAsync(Path.Combine(disk, "saved")));
            Assert.Equal(SandboxErrorKind.Refused, refused.Kind);
            Assert.Contains("space", refused.Message, StringComparison.OrdinalIgnoreCase);
            Assert.Equal("still", await AskAsync(sandbox, "other", "echo still"));
        }
        finally
        {
            Mounts.UnmountAll(disk);
        }
    }

    [SkippableFact]
    public void The_sample_program_runs()
    {
        SandboxFixture.SkipWithout();
        string sample = Path.Combine(AppContext.BaseDirectory, "Cnvm.Sandbox.Sample");
        (int exitCode, string output, string error) = fixture.Run(
            sample, null, SandboxFixture.Kernel, SandboxFixture.Initramfs, fixture.Rootfs, "sh", "-c", "echo from the sample; exit 7");
        Assert.Equal((7, "from the sample\n", ""), (exitCode, output, error));
    }

    [SkippableFact]
    public void Cnvm_run_prints_and_passes_the_exit_code_on()
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        Assert.Equal(
            (42, "hello\ninput\n", "error\n"),
            fixture.Run(
                SandboxFixture.Cli, "input\n", "run", "-i", "--hypervisor", "soft", fixture.Rootfs, "sh", "-c", "echo hello; cat; echo error >&2; exit 42"));
        (int exitCode, _, string error) = fixture.Run(SandboxFixture.Cli, null, "run", "--hypervisor", "soft", fixture.Rootfs, "nosuch");
        Assert.Equal((127, true), (exitCode, error.Contains("nosuch", StringComparison.Ordinal)));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(fixture.Runtime, "sandboxes")));
    }

    [SkippableFact]
    public void Cnvm_run_has_skopeo_fetch_an_image()
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        string folder = Directory.CreateDirectory(fixture.PathOf("fetches")).FullName;
        string program = Path.Combine(folder, "skopeo");
        File.WriteAllText(program, $"#!/bin/bash\necho fetches $2\nmkdir \"${{3#oci:}}\" && exec tar -xf {BusyboxImage.ArchivePath} -C \"${{3#oci:}}\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        string run = $"exec {Shell.Quote(SandboxFixture.Cli)} run --hypervisor soft docker://busybox sh -c 'echo $FROM_IMAGE; exit 9'";
        Assert.Equal((9, "yes\n", "fetches docker://busybox\n"), fixture.Run("/bin/bash", null, "-c", $"PATH={folder}:$PATH {run}"));
        Assert.Equal((9, "yes\n", ""), fixture.Run("/bin/bash", null, "-c", run));
    }

    [SkippableFact]
    public async Task Cnvm_run_gives_a_terminal_with_the_size_of_the_outer_one()
    {
        const string Script = "/usr/bin/script";
        SandboxFixture.SkipWithout(SandboxFixture.Cli, Script);
        string command = "while [ \"$(stty size)\" != '41 99' ]; do sleep 0.1; done; echo ready; read word; echo got $word; exit 5";
        string inner = $"stty rows 41 cols 99; {Shell.Quote(SandboxFixture.Cli)} run -it --hypervisor soft {fixture.Rootfs} sh -c {Shell.Quote(command)}";
        using System.Diagnostics.Process process = fixture.Start(Script, "--quiet", "--return", "--command", inner, "/dev/null");
        try
        {
            string said = "";
            while (!said.Contains("got a-word", StringComparison.Ordinal))
            {
                string line = await process.StandardOutput.ReadLineAsync().WaitAsync(GuestVm.Patience) ?? throw new InvalidDataException($"it has ended: {said}");
                said += line + "\n";
                if (line.StartsWith("ready", StringComparison.Ordinal))
                {
                    await process.StandardInput.WriteAsync("a-word\n");
                    await process.StandardInput.FlushAsync();
                }
            }

            await process.WaitForExitAsync().WaitAsync(GuestVm.Patience);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }

        Assert.Equal(5, process.ExitCode);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(fixture.Runtime, "sandboxes")));
    }

    [SkippableFact]
    public void Cnvm_run_goes_on_from_a_template_that_the_first_one_makes()
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        string kernel = fixture.PathOf("kernel");
        File.Copy(SandboxFixture.Kernel, kernel);
        string templates = fixture.PathOf("templates");
        string[] volumes = [Directory.CreateDirectory(fixture.PathOf("first")).FullName, Directory.CreateDirectory(fixture.PathOf("second")).FullName];
        (int, string, string) Run(string volume, string script) => Cnvm(
            "run", "--hypervisor", "soft", "--memory", "256M", "--kernel", kernel, "--template", templates, "-v", $"{volume}:/tmp", fixture.Rootfs, "sh", "-c", script);
        Assert.Equal((3, "one\n", ""), Run(volumes[0], "echo one >/tmp/file; cat /tmp/file; exit 3"));
        string template = Assert.Single(Directory.GetDirectories(templates), d => Path.GetFileName(d) != "making");

        // A file that looks like the kernel, and would not boot.
        long length = new FileInfo(kernel).Length;
        DateTime changed = File.GetLastWriteTimeUtc(kernel);
        using (FileStream empty = new(kernel, FileMode.Truncate))
        {
            empty.SetLength(length);
        }

        File.SetLastWriteTimeUtc(kernel, changed);
        File.WriteAllText(Path.Combine(volumes[1], "given"), "two\n");
        (int exitCode, string output, string error) = Run(volumes[1], "cat /tmp/given; date +%s; echo made >/tmp/made; exit 4");
        string[] lines = output.Split('\n');
        Assert.Equal((4, "two", ""), (exitCode, lines[0], error));
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        Assert.InRange(long.Parse(lines[1]), now - 120, now + 5);
        Assert.Equal("made\n", File.ReadAllText(Path.Combine(volumes[1], "made")));
        Assert.False(File.Exists(Path.Combine(volumes[0], "made")));
        Assert.True(Directory.Exists(template));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(fixture.Runtime, "sandboxes")));
    }

    [SkippableFact]
    public void A_container_in_the_background_is_listed_entered_read_stopped_and_removed()
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        string script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.2; done";
        Assert.Equal((0, "web\n", ""), Cnvm("run", "-d", "--name", "web", "--hypervisor", "soft", fixture.Rootfs, "sh", "-c", script));
        Assert.Matches(@"(?m)^web +running +[0-9]+ ", Cnvm("ps").Output);
        Assert.Equal((5, "A\n", ""), Cnvm("exec", "-e", "X=A", "web", "sh", "-c", "echo $X; exit 5"));
        Assert.Equal(1, Cnvm("rm", "web").ExitCode);
        Assert.Equal((0, "", ""), Cnvm("stop", "web"));
        Assert.Matches(@"(?m)^web +ended \(3\) ", Cnvm("ps").Output);
        string said = Cnvm("logs", "web").Output;
        Assert.Contains("up\n", said, StringComparison.Ordinal);
        Assert.Contains("bye\n", said, StringComparison.Ordinal);
        Assert.Equal((0, "", ""), Cnvm("rm", "web"));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(fixture.Runtime, "containers")));
    }

    private (int ExitCode, string Output, string Error) Cnvm(params string[] arguments) => fixture.Run(SandboxFixture.Cli, null, arguments);

    private async Task<Container> StartAsync(SandboxVm sandbox, string id, string script, params ContainerDisk[] disks)
    {
        Container container = await sandbox.CreateContainerAsync(
            id, new ContainerOptions(new ContainerRootfs(fixture.Rootfs), new ProcessOptions(["sh", "-c", script])) { Disks = disks });
        await container.StartAsync();
        return container;
    }

    private async Task<string> AskAsync(SandboxVm sandbox, string id, string script, params ContainerDisk[] disks)
    {
        Container container = await StartAsync(sandbox, id, script, disks);
        string output = await new StreamReader(container.Process.StandardOutput).ReadToEndAsync();
        Assert.Equal(0, await container.Process.WaitAsync());
        await container.RemoveAsync();
        return output.Trim();
    }
}
