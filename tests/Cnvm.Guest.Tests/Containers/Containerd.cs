using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Containers;

/// <summary>
/// A containerd of the test's own on a host: its folders, sockets, mounts and processes are in a directory, a mount namespace and a process namespace that
/// nobody else has, so that ending the first process there ends everything, whatever a test has left. It comes back by itself when it is killed.
/// </summary>
/// <remarks>What is left on the host is an empty /run/containerd, as `ip netns` leaves /run/netns.</remarks>
internal sealed partial class Containerd : IAsyncDisposable
{
    /// <summary>Name of the busybox image.</summary>
    public const string Image = "local/busybox:latest";

    private const string Ready = "CNVM-CONTAINERD-RUNS";
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(60);
    private readonly GuestHost _host;
    private readonly HostProcess _process;
    private int _firstProcess;

    private Containerd(GuestHost host, HostProcess process, string directory, string name, string? runtime)
    {
        _host = host;
        _process = process;
        Directory = directory;
        Name = name;
        Runtime = runtime;
    }

    /// <summary>Directory on the host with `root`, `state`, `log` and whatever a test puts there.</summary>
    public string Directory { get; }

    /// <summary>containerd's namespace, and so the folder of its containers' control groups.</summary>
    public string Name { get; }

    /// <summary>Path of a shim; null for runc.</summary>
    public string? Runtime { get; }

    /// <summary>The folders of containerd's tasks, one each.</summary>
    public string Bundles => $"{Directory}/state/io.containerd.runtime.v2.task/{Name}";

    private static string Programs => Path.Combine(Repository.Images, "containerd");

    /// <summary>Starts containerd and gives it the image.</summary>
    /// <param name="host">The host; the test is skipped where containers cannot run.</param>
    /// <param name="runtime">Path of a shim; null for runc.</param>
    /// <param name="variables">Further environment of containerd and so of shims, as a shell takes assignments.</param>
    public static async Task<Containerd> StartAsync(GuestHost host, string? runtime = null, string variables = "")
    {
        Skip.If(!File.Exists(Path.Combine(Programs, "containerd")), $"{Programs}/containerd is missing: 'make images' makes it");
        Skip.If(!host.IsRoot, "containerd needs root");
        CommandResult groups = await host.RunAsync("test -e /sys/fs/cgroup/cgroup.controllers || test -d /sys/fs/cgroup/memory", GuestVm.Patience);
        Skip.If(groups.ExitCode != 0, "no control groups in /sys/fs/cgroup of this host");

        string name = GuestHost.UniqueName("cnvm-ctr");
        string directory = $"{host.Scratch}/{name}";
        (await host.Commands.RunAsync($"mkdir -p /run/containerd {directory} && mkdir -m 700 {directory}/vms && cat >{directory}/config.toml", GuestVm.Patience, Configuration(directory))).OrThrow();
        await BusyboxImage.AddToHostAsync(host, directory + "/busybox.tar");
        string script = $$"""
            mount -t tmpfs tmpfs /run/containerd || exit 1
            cd {{directory}}
            for start in $(seq 20); do
                containerd --config config.toml >>log 2>&1 &
                echo $! >pid
                wait $!
            done
            """;
        string environment =
            $"PATH={Shell.Quote(Programs)}:$PATH CNVM_VMM={Shell.Quote(GuestHostFixture.Vmm)} CNVM_IMAGES={Shell.Quote(Repository.Images)} CNVM_RUNTIME_DIR={directory}/vms {variables}";
        HostProcess process = await host.StartAsync(
            $"echo CNVM-PROCESS-$$. && exec env {environment} unshare --mount --pid --fork --mount-proc --kill-child --propagation private bash -c {Shell.Quote(script)}");
        var containerd = new Containerd(host, process, directory, name, runtime);
        try
        {
            await containerd.BecomeReadyAsync();
            return containerd;
        }
        catch
        {
            await containerd.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a bash command among containerd's processes and mounts.</summary>
    public Task<CommandResult> TryRunAsync(string command, string? input = null) => _host.Commands.RunAsync(Inside(command), GuestVm.Patience, input);

    /// <summary>Output of a bash command there that must succeed, without white space around it.</summary>
    public async Task<string> RunAsync(string command)
    {
        CommandResult result = await TryRunAsync(command);
        Assert.True(result.ExitCode == 0, $"'{command}': exit code {result.ExitCode}\n{result.Output}{result.Error}\n{await LogAsync()}");
        return result.Output.Trim();
    }

    /// <summary>Starts a bash command there.</summary>
    public Task<HostProcess> StartAsync(string command) => _host.StartAsync(Inside(command));

    /// <summary>Text of a `ctr` command line, to be used in a command of <see cref="RunAsync"/> or <see cref="StartAsync"/>.</summary>
    public string Ctr(string arguments) => $"ctr --address {Directory}/c.sock --namespace {Name} {arguments}";

    /// <summary>`ctr run` of the busybox image with the test's runtime, as text.</summary>
    /// <param name="id">Of the container.</param>
    /// <param name="command">Run by the container's shell; null for the image's own command.</param>
    /// <param name="options">Further flags.</param>
    public string CtrRun(string id, string? command, string options = "--rm") => Ctr(
        $"run {options} {(Runtime is null ? "" : $"--runtime {Shell.Quote(Runtime)}")} {Image} {id} {(command is null ? "" : $"/bin/sh -c {Shell.Quote(command)}")}");

    /// <summary>A further process in a container, run by its shell, as text.</summary>
    public string CtrExec(string id, string command, string options = "") =>
        Ctr($"task exec --exec-id {GuestHost.UniqueName("x")} {options} {id} /bin/sh -c {Shell.Quote(command)}");

    /// <summary>
    /// Runs a container to its end and removes it; the exit code is the container's, or 1 with an error. Its input does not end.
    /// </summary>
    /// <remarks>`ctr` loses the output of a process that is gone before it has opened the FIFO, so the container begins a little later.</remarks>
    public Task<CommandResult> RunContainerAsync(string id, string command, string options = "") =>
        TryRunAsync(CtrRun(id, "sleep 0.5; " + command, "--rm " + options));

    /// <summary>Runs a container whose namesake's shim has died: its name is free only some time after the list of tasks is silent about it.</summary>
    public async Task<CommandResult> RunNamesakeAsync(string id, string command)
    {
        for (DateTime end = DateTime.UtcNow + GuestVm.Patience; ;)
        {
            CommandResult result = await RunContainerAsync(id, command);
            if (!result.Error.Contains($"task {id}: already exists", StringComparison.Ordinal) || DateTime.UtcNow > end)
            {
                return result;
            }

            // ctr has made the container, but removes only what it has started.
            await TryRunAsync(Ctr($"container rm {id}"));
        }
    }

    /// <summary>Starts a container that goes on.</summary>
    public Task StartContainerAsync(string id, string command, string options = "--null-io") => RunAsync(CtrRun(id, command, "--detach " + options));

    /// <summary>Runs a further process in a container; the exit code is the process's, or 1 with an error. Its output may be lost.</summary>
    public Task<CommandResult> ExecAsync(string id, string command) => TryRunAsync(CtrExec(id, command));

    /// <summary>Output and errors of a further process that must succeed, without white space around it.</summary>
    public async Task<string> AskAsync(string id, string command, string options = "")
    {
        // It waits for the end of its input, which comes when its output has: `ctr` may lose both when they come before it is ready.
        await using HostProcess process = await StartAsync(CtrExec(id, $"({command}) 2>&1; echo CNVM-END-$?.; cat >/dev/null", options));
        await process.WaitForAsync("CNVM-END-", GuestVm.Patience);
        await process.WaitForAsync(".", GuestVm.Patience);
        process.CloseInput();
        Match end = EndLine().Match(process.Output);
        Assert.True(end.Groups[2].Value == "0", $"'{command}' in {id}: {process.Output}\n{await LogAsync()}");
        Assert.Equal(0, await process.WaitForExitAsync(GuestVm.Patience));
        return end.Groups[1].Value.Trim();
    }

    /// <summary>RUNNING, STOPPED, PAUSED ..., or an empty text when there is no such task.</summary>
    public async Task<string> StatusAsync(string id)
    {
        string tasks = await RunAsync(Ctr("task ls"));
        return tasks.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).FirstOrDefault(words => words[0] == id)?[^1] ?? "";
    }

    /// <summary>Waits for a status, by asking again and again.</summary>
    public async Task WaitForStatusAsync(string id, string status)
    {
        for (DateTime end = DateTime.UtcNow + GuestVm.Patience; await StatusAsync(id) != status;)
        {
            Assert.True(DateTime.UtcNow < end, $"{id} is {await StatusAsync(id)}, not {status}\n{await LogAsync()}");
        }
    }

    /// <summary>Ends a container's first process, and removes task and container.</summary>
    /// <returns>The exit code of the container.</returns>
    public async Task<int> EndAsync(string id, string signal = "SIGKILL")
    {
        await RunAsync(Ctr($"task kill --signal {signal} {id}"));
        await WaitForStatusAsync(id, "STOPPED");
        return await RemoveAsync(id);
    }

    /// <summary>Removes task and container of one that has ended.</summary>
    /// <returns>The exit code of the container.</returns>
    public async Task<int> RemoveAsync(string id)
    {
        CommandResult delete = await TryRunAsync(Ctr($"task delete {id}"));
        Assert.True(delete.ExitCode == 0, $"{delete}\n{await LogAsync()}");
        await RunAsync(Ctr($"container rm {id}"));
        Match code = ExitCode().Match(delete.Error);
        return code.Success ? int.Parse(code.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
    }

    /// <summary>Kills the shim of a container, which is alone in it.</summary>
    public async Task KillShimAsync(string id)
    {
        // A shim's arguments, as containerd gave them, name its container and this containerd's socket. A command of its own, whose shell is replaced: a shell's
        // arguments would have them too.
        string[] shims = (await RunAsync($"pgrep --full 'containerd-shim-.* -id {id} .*{Directory}/'")).Split('\n');
        Assert.Single(shims);
        await RunAsync($"kill -KILL {shims[0]}");
        await WaitForStatusAsync(id, "");
    }

    /// <summary>Kills containerd and waits until the next one answers.</summary>
    public async Task RestartAsync(string signal = "KILL")
    {
        await RunAsync($"old=$(cat {Directory}/pid); kill -{signal} $old; for i in $(seq 600); do [ $(cat {Directory}/pid) = $old ] || exit 0; sleep 0.1; done; exit 1");
        await AnswersAsync();
    }

    /// <summary>The end of containerd's log.</summary>
    public async Task<string> LogAsync() => (await _host.RunAsync($"tail -n 30 {Directory}/log", GuestVm.Patience)).Output;

    /// <summary>
    /// Fails when a container has left anything: a process, a mount, a FIFO, a socket, a folder, a control group, an entry in the list of running VMs.
    /// Shims end behind the answer to their last call, so what is left may still go for a while.
    /// </summary>
    public async Task AssertNothingIsLeftAsync()
    {
        string look = $$"""
            ps -e -o pid=,comm=,args= | awk '$1 != 1 && $2 !~ /^(containerd|ps|awk|bash|sleep|nsenter)$/ && !/ events$/ { print "process " $0 }'
            grep -F {{Directory}}/ /proc/self/mounts | sed 's/^/mount /'
            find /run/containerd -type p -o -type s | sed 's/^/pipe or socket /'
            find {{Bundles}} {{Directory}}/vms -mindepth 1 2>/dev/null | sed 's/^/file /'
            find /sys/fs/cgroup -mindepth 2 -type d -path '*/{{Name}}/*' | sed 's/^/control group /'
            """;
        string left = "";
        for (DateTime end = DateTime.UtcNow + EndLimit; DateTime.UtcNow < end;)
        {
            left = (await TryRunAsync(look)).Output;
            if (left.Length == 0)
            {
                return;
            }
        }

        Assert.Fail($"still there:\n{left}\n{await LogAsync()}");
    }

    public async ValueTask DisposeAsync()
    {
        await _host.CleanUpAsync(() => _process.DisposeAsync().AsTask());

        // The first process of the namespace is the last one to go, and nothing can be in the control groups after it.
        await _host.CleanUpAsync(async () => (await _host.RunAsync(
            $$"""
            for i in $(seq 300); do [ -e /proc/{{_firstProcess}} ] || break; sleep 0.1; done
            find /sys/fs/cgroup -mindepth 1 -depth -type d \( -path '*/{{Name}}/*' -o -name {{Name}} \) -exec rmdir {} +
            rm -rf {{Directory}}
            """,
            EndLimit)).OrThrow());
    }

    private static string Configuration(string directory)
    {
        string[] disabled =
        [
            "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
            "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
        ];
        return $"""
            version = 2
            root = "{directory}/root"
            state = "{directory}/state"
            disabled_plugins = [{string.Join(", ", disabled.Select(d => $"\"{d}\""))}]
            [grpc]
              address = "{directory}/c.sock"
            [ttrpc]
              address = "{directory}/c.sock.ttrpc"
            """;
    }

    private async Task BecomeReadyAsync()
    {
        await _process.WaitForAsync("CNVM-PROCESS-", GuestVm.Patience);
        await _process.WaitForAsync(".", GuestVm.Patience);
        string parent = ProcessLine().Match(_process.Output).Groups[1].Value;
        string first = (await _host.RunAsync($"for i in $(seq 600); do pgrep -P {parent} && exit 0; sleep 0.1; done; exit 1", GuestVm.Patience)).OrThrow().Output;
        _firstProcess = int.Parse(first, CultureInfo.InvariantCulture);
        await AnswersAsync();
        await RunAsync(Ctr($"image import --base-name local/busybox {Directory}/busybox.tar"));
    }

    private async Task AnswersAsync()
    {
        CommandResult answer = await TryRunAsync($"for i in $(seq 600); do {Ctr("version")} >/dev/null 2>&1 && echo {Ready} && exit 0; sleep 0.1; done; exit 1");
        Assert.True(answer.Output.Contains(Ready, StringComparison.Ordinal), $"containerd does not answer: {answer.Error}{_process.Output}\n{await LogAsync()}");
    }

    private string Inside(string command) => string.Create(
        CultureInfo.InvariantCulture,
        $"PATH={Shell.Quote(Programs)}:$PATH exec nsenter --target {_firstProcess} --mount --pid bash -c {Shell.Quote(command)}");

    [GeneratedRegex(@"CNVM-PROCESS-(\d+)\.")]
    private static partial Regex ProcessLine();

    [GeneratedRegex(@"(.*)CNVM-END-(\d+)\.", RegexOptions.Singleline)]
    private static partial Regex EndLine();

    [GeneratedRegex(@"exit with non-zero exit code (\d+)")]
    private static partial Regex ExitCode();
}
