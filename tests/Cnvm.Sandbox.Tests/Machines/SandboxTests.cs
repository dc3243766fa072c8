using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Machines;

/// <summary>A sandbox with a program in place of the VMM and an agent in this process: how it starts, what is said to whom, and how it ends.</summary>
public sealed class SandboxTests : IDisposable
{
    private readonly string _rootfs = Directory.CreateTempSubdirectory("cnvm-rootfs").FullName;

    public void Dispose() => Directory.Delete(_rootfs, recursive: true);

    [Fact]
    public async Task A_sandbox_starts_when_its_agent_listens_and_leaves_nothing()
    {
        await using var vmm = new FakeVmm(refusals: 3);
        SandboxOptions options = vmm.Options with { Name = "one", Cpus = 2, MemoryBytes = 256L << 20, Dns = ["nameserver 192.0.2.1"], Folders = [new(_rootfs, true)] };
        SandboxVm sandbox = await vmm.StartAsync(options);
        Assert.Equal((UnixFileMode)0x1c0, File.GetUnixFileMode(sandbox.Folder));
        CreateSandboxRequest created = vmm.Agent!.Single<CreateSandboxRequest>();
        Assert.Equal(("one", "one", "nameserver 192.0.2.1"), (created.SandboxId, created.Hostname, Assert.Single(created.Dns)));
        Assert.Equal(
            [("kataShared", "/run/kata-containers/shared/containers", ""), ("folder0", "/run/kata-containers/folders/0", "ro")],
            created.Storages.Select(s => (s.Source, s.MountPoint, string.Join(',', s.Options))));
        string words = string.Join(' ', vmm.Arguments);
        Assert.Contains($"--cpus boot=2 --memory size={256 << 20} --vsock cid=3,socket={sandbox.Folder}/vsock.sock", words, StringComparison.Ordinal);
        Assert.Contains($"--serial file={sandbox.Folder}/console.log,file_size=1048576 ", words, StringComparison.Ordinal);
        Assert.Contains($"--fs tag=kataShared,path={sandbox.Folder}/shared{(Environment.IsPrivilegedProcess ? "" : ",readonly=on")} tag=folder0,path={_rootfs},readonly=on", words, StringComparison.Ordinal);
        Assert.Contains("--name one --hypervisor auto", words, StringComparison.Ordinal);
        Assert.Equal("fake", (await sandbox.GetGuestDetailsAsync()).AgentDetails!.Version);
        int process = sandbox.VmmProcessId;
        await sandbox.DisposeAsync();
        Assert.True((await sandbox.Ended).IsExpected);
        Assert.False(Directory.Exists(options.Folder));
        Assert.False(Directory.Exists($"/proc/{process}"));
    }

    [Fact]
    public async Task Passt_is_the_vmms_and_the_guest_gets_the_address_that_it_expects()
    {
        await using var vmm = new FakeVmm();
        var network = new SandboxNetwork.Passt([new(8080, 80), new(8443, 443), new(5353, 53, Udp: true)]) { ListenAddress = "127.0.0.1" };
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Network = network });
        Assert.Contains(
            "passt=on,mac=52:54:00:12:34:56,guest_ip=10.0.2.15/24,gateway=10.0.2.2,tcp_ports=[127.0.0.1/8080:80,127.0.0.1/8443:443],udp_ports=[127.0.0.1/5353:53]",
            vmm.Arguments);
        IPAddress address = Assert.Single(vmm.Agent!.Single<UpdateInterfaceRequest>().Interface!.IpAddresses);
        Assert.Equal(("10.0.2.15", "24"), (address.Address, address.Mask));
        Assert.Equal("10.0.2.2", Assert.Single(vmm.Agent.Single<UpdateRoutesRequest>().Routes!.Items).Gateway);
    }

    [Fact]
    public async Task A_process_has_input_output_errors_and_an_exit_code()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Folders = [new(_rootfs, true)] });
        Container container = await sandbox.CreateContainerAsync("c", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["7", "x"])));
        await container.StartAsync();
        byte[] data = new byte[100_000];
        Random.Shared.NextBytes(data);
        Task writing = WriteAsync(container.Process.StandardInput, data);
        using var output = new MemoryStream();
        await container.Process.StandardOutput.CopyToAsync(output);
        await writing;
        Assert.Equal(data, output.ToArray());
        Assert.Equal("err", await new StreamReader(container.Process.StandardError).ReadToEndAsync());
        Assert.Equal(7, await container.Process.WaitAsync());
        Assert.Equal(7, await container.Process.WaitAsync());

        SandboxProcess hanging = await container.ExecAsync(new ProcessOptions(["hang"]) { Terminal = true, Environment = ["A=c"], WorkingDirectory = "/tmp" });
        await hanging.ResizeAsync(100, 30);
        TtyWinResizeRequest resized = vmm.Agent!.Single<TtyWinResizeRequest>();
        Assert.Equal(("c", hanging.Id, 30u, 100u), (resized.ContainerId, resized.ExecId, resized.Row, resized.Column));
        Task<int> waiting = hanging.WaitAsync();
        Assert.False(waiting.IsCompleted);
        await hanging.SignalAsync(9);
        Assert.Equal(137, await waiting);
        Process process = vmm.Agent.Single<ExecProcessRequest>().Process!;
        Assert.Equal(("/tmp", true), (process.Cwd, process.Terminal));
        Assert.Contains("A=c", process.Env);
        Assert.Contains("TERM=xterm", process.Env);
        await container.RemoveAsync();
        Assert.Equal("c", vmm.Agent.Single<RemoveContainerRequest>().ContainerId);
        Assert.Equal(SandboxErrorKind.NotFound, (await Assert.ThrowsAsync<SandboxException>(() => sandbox.OpenContainer("d", _rootfs, new(["x"])).SignalAsync(1))).Kind);
    }

    [Fact]
    public async Task A_read_that_was_given_up_loses_nothing()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Folders = [new(_rootfs, true)] });
        Container container = await sandbox.CreateContainerAsync("c", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["0"])));
        await container.StartAsync();
        byte[] buffer = new byte[3];
        using (var limit = new CancellationTokenSource(50))
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => container.Process.StandardOutput.ReadAsync(buffer, limit.Token).AsTask());
        }

        await container.Process.StandardInput.WriteAsync("abcdef"u8.ToArray());
        Assert.Equal(3, await container.Process.StandardOutput.ReadAsync(buffer));
        Assert.Equal("abc", Encoding.ASCII.GetString(buffer));
        await container.Process.StandardInput.DisposeAsync();
        Assert.Equal("def", await new StreamReader(container.Process.StandardOutput).ReadToEndAsync());
    }

    [Fact]
    public async Task A_disk_comes_with_its_container_and_goes_with_it()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Folders = [new(_rootfs, true)] });
        string disk = Path.Combine(_rootfs, "disk\"1");
        File.WriteAllText(disk, "");
        var options = new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["0"]))
        {
            Disks = [new ContainerDisk(disk, "/data", ReadOnly: true) { FileSystem = "squashfs" }],
        };
        Container container = await sandbox.CreateContainerAsync("c", options);
        Assert.Matches("""^PUT vm\.add-disk \{"id":"disk-[0-9a-f]{12}","path":".*/disk\\u00221","readonly":true,"image_type":"Raw"\}$""", Assert.Single(vmm.Calls));
        CreateContainerRequest made = vmm.Agent!.Single<CreateContainerRequest>();
        Storage storage = Assert.Single(made.Storages, s => s.Driver == "blk");
        Assert.Equal(("06.0", "squashfs", "ro"), (storage.Source, storage.Fstype, Assert.Single(storage.Options)));
        Mount mount = Assert.Single(made.Oci!.Mounts, m => m.Destination == "/data");
        Assert.Equal((storage.MountPoint, "bind"), (mount.Source, mount.Type));
        Assert.Contains("ro", mount.Options);
        await container.RemoveAsync();

        // The agent refuses this one.
        await Assert.ThrowsAsync<SandboxException>(() => sandbox.CreateContainerAsync("d", options with { Process = new ProcessOptions(["missing"]) }));
        Assert.Equal(["vm.add-disk", "vm.remove-device", "vm.add-disk", "vm.remove-device"], vmm.Calls.Select(c => c.Split(' ')[1]));
        Assert.Contains(vmm.Calls[2][..40].Split('"')[3], vmm.Calls[3], StringComparison.Ordinal);

        // And the VMM the second disk of this one: it may have taken it all the same, and the first one goes in any case.
        vmm.Calls.Clear();
        string refused = Path.Combine(_rootfs, "refuse");
        File.WriteAllText(refused, "");
        SandboxException full = await Assert.ThrowsAsync<SandboxException>(
            () => sandbox.CreateContainerAsync("e", options with { Disks = [new ContainerDisk(disk, "/data"), new ContainerDisk(refused, "/more")] }));
        Assert.Contains("full", full.Message, StringComparison.Ordinal);
        string[] ids = [.. vmm.Calls.Select(c => c.Split('"')[3])];
        Assert.Equal(["vm.add-disk", "vm.add-disk", "vm.remove-device", "vm.remove-device"], vmm.Calls.Select(c => c.Split(' ')[1]));
        Assert.Equal($"{ids[0]} {ids[1]} {ids[1]} {ids[0]}", string.Join(' ', ids));
    }

    [Fact]
    public async Task The_end_of_the_vmm_ends_every_call_by_name()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Folders = [new(_rootfs, true)] });
        Container container = await sandbox.CreateContainerAsync("c", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["hang"])));
        await container.StartAsync();
        Task<int> waiting = container.Process.WaitAsync();
        Task<int> reading = container.Process.StandardOutput.ReadAsync(new byte[10]).AsTask();
        using (System.Diagnostics.Process process = System.Diagnostics.Process.GetProcessById(sandbox.VmmProcessId))
        {
            process.Kill();
        }

        // The fake VMM's sockets are this process's: a real one's go with it.
        SandboxEnd end = await sandbox.Ended.WaitAsync(TimeSpan.FromSeconds(20));
        vmm.Agent!.Disconnect();
        Assert.Equal((137, false), (end.ExitCode, end.IsExpected));
        foreach (Task call in (Task[])[waiting, reading, container.GetStatsAsync()])
        {
            SandboxException gone = await Assert.ThrowsAsync<SandboxException>(() => call.WaitAsync(TimeSpan.FromSeconds(20)));
            Assert.Equal(SandboxErrorKind.Gone, gone.Kind);
            Assert.Contains("was killed by signal 9", gone.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_guest_whose_agent_goes_ends_the_sandbox()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options);
        vmm.Agent!.Disconnect();
        SandboxEnd end = await sandbox.Ended.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.False(end.IsExpected);
        Assert.Equal(SandboxErrorKind.Gone, (await Assert.ThrowsAsync<SandboxException>(() => sandbox.GetGuestDetailsAsync())).Kind);
    }

    [Fact]
    public async Task A_vmm_that_ends_or_stands_still_is_told_with_what_it_said()
    {
        await using (var failing = new FakeVmm(instead: "echo 'no such kernel' >&2; exit 3"))
        {
            SandboxException failed = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(failing.Options));
            Assert.Equal(SandboxErrorKind.Host, failed.Kind);
            Assert.Contains("exit code 3: no such kernel", failed.Message, StringComparison.Ordinal);
            Assert.False(Directory.Exists(failing.Options.Folder));
        }

        await using var silent = new FakeVmm(instead: "exec sleep 300");
        SandboxException late = await Assert.ThrowsAsync<SandboxException>(
            () => SandboxVm.StartAsync(silent.Options with { StartTimeout = TimeSpan.FromMilliseconds(300) }));
        Assert.Equal(SandboxErrorKind.TimedOut, late.Kind);
        using var given = new CancellationTokenSource(200);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => SandboxVm.StartAsync(silent.Options, given.Token));
        Assert.False(Directory.Exists(silent.Options.Folder));
    }

    [Fact]
    public async Task What_a_vmm_says_is_kept_up_to_a_limit_and_the_newest()
    {
        await using (var talking = new FakeVmm(instead: "yes 'a guest misbehaves' | head -c 3000000 >&2"))
        {
            await using SandboxVm sandbox = await talking.StartAsync(talking.Options);
            Assert.InRange(new FileInfo(Path.Combine(sandbox.Folder, "vmm.log")).Length, 400 << 10, 1 << 20);
        }

        await using var failing = new FakeVmm(instead: "yes 'a guest misbehaves' | head -c 3000000 >&2; echo 'the end' >&2; exit 3");
        SandboxException failed = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(failing.Options));
        Assert.Contains("the end", failed.Message, StringComparison.Ordinal);
        Assert.True(failed.Message.Length < 10_000);
    }

    [Fact]
    public async Task An_agent_that_says_too_much_is_cut_short()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Folders = [new(_rootfs, true)] });
        SandboxException shouted = await Assert.ThrowsAsync<SandboxException>(
            () => sandbox.CreateContainerAsync("s", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["shout"]))));
        Assert.Contains("\ufffd[2Jthere\nwas xxx", shouted.Message, StringComparison.Ordinal);
        Assert.True(shouted.Message.Length < 3000);
        Container container = await sandbox.CreateContainerAsync("c", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["flood"])));
        await container.StartAsync();
        SandboxException flooded = await Assert.ThrowsAsync<SandboxException>(() => container.Process.StandardOutput.ReadAsync(new byte[10]).AsTask());
        Assert.Contains("1048576 bytes", flooded.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task A_full_disk_is_said_and_leaves_nothing()
    {
        Skip.IfNot(Environment.IsPrivilegedProcess, "mounts need root");
        string disk = Directory.CreateTempSubdirectory("cnvm-full-").FullName;
        Cnvm.Linux.Mounts.Mount("tmpfs", disk, "tmpfs", 0, "size=64k");
        try
        {
            // As long as there is room for folders and not for what is in them.
            await using var vmm = new FakeVmm();
            SandboxOptions options = vmm.Options with { Folder = Path.Combine(disk, "sandbox") };
            await using (SandboxVm sandbox = await vmm.StartAsync(options with { Folders = [new(_rootfs, true)] }))
            {
                Fill(disk);
                Container container = await sandbox.CreateContainerAsync("c", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["0"])));
                await container.StartAsync();
                await container.Process.StandardInput.DisposeAsync();
                Assert.Equal(0, await container.Process.WaitAsync());
            }

            Assert.Equal([Path.Combine(disk, "full")], Directory.GetFileSystemEntries(disk));
            Fill(disk);
            IOException refused = await Assert.ThrowsAnyAsync<IOException>(() => SandboxVm.StartAsync(options));
            Assert.Contains("space", refused.Message, StringComparison.OrdinalIgnoreCase);
            Assert.Equal([Path.Combine(disk, "full")], Directory.GetFileSystemEntries(disk));
            Assert.Empty(Cnvm.Sandbox.Machine.MountTable.Below(disk));
        }
        finally
        {
            Cnvm.Linux.Mounts.UnmountAll(disk);
            Directory.Delete(disk);
        }
    }

    [Fact]
    public async Task Wrong_options_are_refused_before_anything_starts()
    {
        await using var vmm = new FakeVmm();
        SandboxOptions sound = vmm.Options;
        (SandboxOptions Options, string Message)[] wrong =
        [
            (sound with { Name = "a/b" }, "no name"),
            (sound with { Cpus = 0 }, "one processor"),
            (sound with { Kernel = null }, "Kernel"),
            (sound with { Kernel = "/missing" }, "/missing"),
            (sound with { VmmPath = "/missing" }, "/missing"),
            (sound with { Folders = [new("/missing", true)] }, "/missing"),
            (sound with { Folder = "/tmp/" + new string('a', 100) }, "90 bytes"),
            (sound with { Folder = "/proc" }, "not empty"),
            (sound with { Template = _rootfs }, "no template"),
            (sound with { Template = _rootfs, Network = new SandboxNetwork.Tap("t") }, "template"),
        ];
        foreach ((SandboxOptions options, string message) in wrong)
        {
            SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(options));
            Assert.Contains(message, refused.Message, StringComparison.Ordinal);
        }

        Assert.False(Directory.Exists(sound.Folder));
    }

    [Fact]
    public async Task Another_process_attaches_and_cleans_up()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Folders = [new(_rootfs, true)] });
        Container container = await sandbox.CreateContainerAsync("c", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["hang"])));
        await container.StartAsync();
        await using (SandboxVm attached = await SandboxVm.AttachAsync(sandbox.Folder))
        {
            await attached.OpenContainer("c", _rootfs, new ProcessOptions(["hang"])).SignalAsync(15);
        }

        Assert.Equal(143, await container.Process.WaitAsync());
        Assert.False(sandbox.Ended.IsCompleted);
        Assert.Contains(sandbox.Folder, File.ReadAllText($"/proc/{sandbox.VmmProcessId}/cmdline") + sandbox.Folder, StringComparison.Ordinal);
        SandboxVm.CleanUp(sandbox.Folder);
        Assert.False(Directory.Exists(sandbox.Folder));
        Assert.Equal(SandboxErrorKind.Gone, (await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.AttachAsync(sandbox.Folder))).Kind);
    }

    [Fact]
    public async Task Pause_snapshot_and_files_go_to_who_does_them()
    {
        await using var vmm = new FakeVmm();
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options);
        string file = Path.Combine(_rootfs, "file");
        File.WriteAllBytes(file, new byte[(1 << 20) + 5]);
        File.SetUnixFileMode(file, (UnixFileMode)0x180);
        await sandbox.CopyToGuestAsync(file, "/run/file");
        CopyFileRequest[] parts = [.. vmm.Agent!.Requests.OfType<CopyFileRequest>()];
        Assert.Equal([(0L, 1 << 20), (1L << 20, 5)], parts.Select(p => (p.Offset, p.Data.Length)));
        Assert.All(parts, p => Assert.Equal(("/run/file", (1L << 20) + 5, 0x8180u), (p.Path, p.FileSize, p.FileMode)));
        string folder = Path.Combine(_rootfs, "saved");
        await sandbox.SnapshotAsync(folder);
        Assert.Equal(["PUT vm.pause", $$"""PUT vm.snapshot {"destination_url":"file://{{folder}}"}""", "PUT vm.resume"], vmm.Calls);
        await Assert.ThrowsAsync<SandboxException>(() => sandbox.SnapshotAsync(Path.Combine(_rootfs, "refuse")));
        Assert.Equal("PUT vm.resume", vmm.Calls[^1]);
    }

    [Fact]
    public async Task A_template_brings_its_own_files_and_gets_a_clock_and_random_numbers()
    {
        string template = Directory.CreateDirectory(Path.Combine(_rootfs, "template")).FullName;
        File.WriteAllText(Path.Combine(template, "config.json"), """
            {"vsock":{"cid":3,"socket":"/old/vsock.sock"},"serial":{"mode":"File","file":"/old/console.log"},"fs":[{"tag":"kataShared","path":"/old/shared"}],"kept":1}
            """);
        File.WriteAllText(Path.Combine(template, "state.json"), "{}");
        await using var vmm = new FakeVmm(happened: "vm resumed");
        await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { Template = template, Kernel = null, Initramfs = null });
        Assert.Contains($"source_url=file://{sandbox.Folder}/template,memory_restore_mode=ondemand,resume=on", vmm.Arguments);
        string config = File.ReadAllText(Path.Combine(sandbox.Folder, "template", "config.json"));
        Assert.DoesNotContain("/old", config, StringComparison.Ordinal);
        Assert.Contains($"{sandbox.Folder}/shared\",\"readonly\":{(Environment.IsPrivilegedProcess ? "false" : "true")}", config, StringComparison.Ordinal);
        Assert.Contains("\"file_size\":1048576", config, StringComparison.Ordinal);
        Assert.Contains("\"kept\":1", config, StringComparison.Ordinal);
        Assert.InRange(vmm.Agent!.Single<SetGuestDateTimeRequest>().Sec, DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 60, DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        Assert.True(vmm.Agent.Single<ReseedRandomDevRequest>().Data.Length >= 32);
    }

    [SkippableFact]
    public async Task The_vmm_runs_in_the_network_namespace_that_was_named()
    {
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root can enter a network namespace");
        await using var vmm = new FakeVmm();
        IOException missing = await Assert.ThrowsAnyAsync<IOException>(() => SandboxVm.StartAsync(vmm.Options with { NetworkNamespace = "/run/netns/missing" }));
        Assert.Contains("/run/netns/missing", missing.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(vmm.Options.Folder));
        using var holder = System.Diagnostics.Process.Start("unshare", ["--net", "sleep", "300"]);
        try
        {
            Assert.True(SpinWait.SpinUntil(() => NetworkOf(holder.Id) != NetworkOf(Environment.ProcessId), TimeSpan.FromSeconds(20)));
            await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { NetworkNamespace = $"/proc/{holder.Id}/ns/net" });
            Assert.Equal(NetworkOf(holder.Id), NetworkOf(sandbox.VmmProcessId));
        }
        finally
        {
            holder.Kill();
        }
    }

    private static void Fill(string disk)
    {
        using FileStream full = new(Path.Combine(disk, "full"), FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        byte[] page = new byte[4096];
        Exception? e = null;
        for (int i = 0; i < 1000 && e is null; i++)
        {
            e = Record.Exception(() => full.Write(page));
        }

        Assert.IsAssignableFrom<IOException>(e);
    }

    private static string? NetworkOf(int process) => new FileInfo($"/proc/{process}/ns/net").LinkTarget;

    private static async Task WriteAsync(Stream input, byte[] data)
    {
        await input.WriteAsync(data);
        await input.DisposeAsync();
    }
}
