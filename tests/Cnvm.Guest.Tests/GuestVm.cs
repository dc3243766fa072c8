using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// A cnvm-vmm process on a host with a directory of its own there (API socket, event file, standard error), and the guest's
/// console as its standard input and output. Disposing it kills what is left and removes the directory, within a minute.
/// </summary>
public sealed partial class GuestVm : IAsyncDisposable
{
    public const string Ready = "CNVM-GUEST-READY";

    // A host with emulated processors that shares its two real ones may be many times slower than usual.
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(20);
    private readonly GuestHost _host;
    private readonly HostProcess _process;
    private int _commands;

    private GuestVm(GuestHost host, HostProcess process, string directory, int processId)
    {
        _host = host;
        _process = process;
        Directory = directory;
        ProcessId = processId;
    }

    /// <summary>The directory on the host.</summary>
    public string Directory { get; }

    public string Socket => Directory + "/api.sock";

    /// <summary>Process id of the VMM on the host.</summary>
    public int ProcessId { get; }

    /// <summary>Everything on the console so far.</summary>
    public string Console => _process.Output;

    /// <summary>Starts the VMM and boots the guest to its shell.</summary>
    public static async Task<GuestVm> BootAsync(GuestHost host, GuestSetup setup)
    {
        string image = Shell.Quote(Repository.Images) + "/";
        string disks = setup.Disks.Count == 0 ? "" : "--disk " + string.Join(' ', setup.Disks.Select(d => Shell.Quote(d.Replace("@root", host.RootDisk, StringComparison.Ordinal))));
        string net = setup.Net is null ? "" : "--net " + Shell.Quote(setup.Net);
        GuestVm guest = await StartAsync(
            host,
            string.Create(
                CultureInfo.InvariantCulture,
                $"--kernel {image}{setup.Kernel} --initramfs {image}{setup.Initramfs} --cmdline {Shell.Quote(setup.Cmdline)} --cpus boot={setup.Cpus}{setup.CpuKeys} --memory size={setup.MemoryMiB}M{setup.MemoryKeys} --machine {setup.Machine} {disks} {net} --serial tty --console off {setup.Flags}"),
            setup.NetworkNamespace);
        return await guest.OrDisposeAsync(guest.FirstLightAsync(setup.Pulses && (host.PulsesEveryGuest || setup.PulsesEverywhere || Soak.IsOn)));
    }

    /// <summary>Starts the VMM with no machine, for requests.</summary>
    /// <param name="networkNamespace">Where it runs; null for the host's own.</param>
    public static Task<GuestVm> StartAsync(GuestHost host, string? networkNamespace = null) => StartAsync(host, "", networkNamespace);

    /// <summary>Starts the VMM with a snapshot whose guest is at its shell; it runs.</summary>
    public static async Task<GuestVm> RestoreAsync(GuestHost host, string folder, string keys = "", string? networkNamespace = null)
    {
        GuestVm guest = await StartAsync(host, $"--restore source_url=file://{folder},resume=on{keys}", networkNamespace);
        return await guest.OrDisposeAsync(guest.WaitForEventAsync("vm", "resumed"));
    }

    /// <summary>
    /// Saves the machine, throws it away and restores it in the same process, twice, once by copy and once on demand: what is not
    /// saved is lost here, in whatever the test goes on to do.
    /// </summary>
    public async Task PulseAsync()
    {
        string folder = $"{_host.Scratch}/{GuestHost.UniqueName("pulse")}";
        string requests = string.Join(
            " --next ",
            from mode in (string[])["Copy", "OnDemand"]
            from request in (string[])
            [
                "vm.pause",
                $$"""vm.snapshot -d '{"destination_url":"file://{{folder}}/{{mode}}"}'""",
                "vm.delete",
                $$"""vm.restore -d '{"source_url":"file://{{folder}}/{{mode}}","memory_restore_mode":"{{mode}}","resume":true}'""",
            ]
            select $"-sS -m 200 --fail-with-body --unix-socket {Socket} -X PUT http://localhost/api/v1/{request}");

        // One process for all: starting one takes longer than the requests do where processors are emulated.
        CommandResult result = await _host.RunAsync(
            $"mkdir -p {folder}/Copy {folder}/OnDemand && curl --fail-early {requests}; end=$?; rm -rf {folder}; exit $end", Patience);
        Assert.True(result.ExitCode == 0, $"pulse: curl {result.ExitCode}: {result.Output}{result.Error}\n{await ErrorsAsync()}");
    }

    /// <summary>Waits until the guest's shell takes commands.</summary>
    public async Task WaitForShellAsync()
    {
        await WaitForAsync(Ready);

        // From here on lines are taken as they are: no echo, no line editing, no prompt. Of the kernel's messages only those of a panic
        // come, not those of a guest that had to wait for its processor.
        await _process.WriteAsync("stty -echo; dmesg -n 1; PS1=; while IFS= read -r line; do eval \"$line\"; done; : CNVM-SHELL\n");
        _ = await RunAsync("true");
    }

    /// <summary>Waits for a text on the console behind the last one that was waited for.</summary>
    /// <param name="unless">A text after which the other is not to come any more.</param>
    public async Task WaitForAsync(string text, TimeSpan? limit = null, string? unless = null)
    {
        try
        {
            await _process.WaitForAsync(text, limit ?? Patience, unless: unless);
        }
        catch (Exception e) when (e is NestedHostException or TimeoutException)
        {
            string events = (await _host.RunAsync($"tr -d ' \\n' <{Directory}/events | tail -c 1500", Patience)).Output;
            throw new InvalidOperationException($"{e.Message}\nstandard error of the VMM:\n{await ErrorsAsync()}\nevents: {events}", e);
        }
    }

    /// <summary>Runs a command line in a shell of the guest; output and errors come together.</summary>
    public async Task<CommandResult> RunAsync(string command)
    {
        // One line of a terminal holds 4095 characters.
        Assert.InRange(command.Length, 1, 4000);
        Assert.DoesNotContain('\n', command);
        int number = ++_commands;
        // Quotes inside the marks, so that an echo of the line is not taken for the answer.
        await TypeAsync($"echo CNVM''-BEGIN-{number}.; ({command}) </dev/null 2>&1; echo CNVM''-END-{number}:$?.");
        // A guest that comes up anew has forgotten the command.
        await WaitForAsync($"CNVM-BEGIN-{number}.", unless: Ready);
        await WaitForAsync($"CNVM-END-{number}:", unless: Ready);
        await WaitForAsync(".");
        Match match = Regex.Match(
            Console, $@"CNVM-BEGIN-{number}\.\r?\n(.*?)CNVM-END-{number}:(\d+)\.", RegexOptions.Singleline | RegexOptions.RightToLeft);
        Assert.True(match.Success, $"no answer to '{command}' in {Console}");
        return new CommandResult(int.Parse(match.Groups[2].Value), match.Groups[1].Value.Replace("\r", "", StringComparison.Ordinal), "");
    }

    /// <summary>Output of a command in the guest that must succeed, without white space around it.</summary>
    public async Task<string> AskAsync(string command)
    {
        CommandResult result = await RunAsync(command);
        Assert.True(result.ExitCode == 0, $"'{command}' in the guest failed with exit code {result.ExitCode}:\n{result.Output}");
        return result.Output.Trim();
    }

    /// <summary>Types a line; nobody waits for anything.</summary>
    public Task TypeAsync(string line) => _process.WriteAsync(line + "\n");

    /// <summary>Sends a request to the API socket with curl; returns the body.</summary>
    public async Task<string> CallAsync(string method, string endpoint, string? body = null, int status = 0)
    {
        string data = body is null ? "" : $"-H 'Content-Type: application/json' -d {Shell.Quote(body)}";
        CommandResult result = await _host.RunAsync(
            $"curl -sS -m 200 --unix-socket {Socket} -X {method} -w '\\n%{{http_code}}' {data} http://localhost/api/v1/{endpoint}", Patience);
        Assert.True(result.ExitCode == 0, $"{endpoint}: curl {result.ExitCode}: {result.Error}\n{await ErrorsAsync()}");
        int split = result.Output.LastIndexOf('\n');
        int code = int.Parse(result.Output[(split + 1)..]);
        string answer = result.Output[..split];
        Assert.True(
            status == 0 ? code is 200 or 204 : code == status, $"{endpoint}: HTTP {code}: {answer}\n{await ErrorsAsync()}");
        return answer;
    }

    /// <summary>A request to a VMM that may end meanwhile.</summary>
    public async Task<string> TryCallAsync(string method, string endpoint, string body) => (await _host.RunAsync(
        $"curl -sS -m 200 --unix-socket {Socket} -X {method} -H 'Content-Type: application/json' -d {Shell.Quote(body)} http://localhost/api/v1/{endpoint}",
        Patience)).Output;

    public Task<string> PutAsync(string endpoint, string? body = null, int status = 0) => CallAsync("PUT", endpoint, body, status);

    public async Task<JsonElement> GetAsync(string endpoint) => JsonDocument.Parse(await CallAsync("GET", endpoint)).RootElement;

    /// <summary>The state that vm.info gives.</summary>
    public async Task<string> StateAsync() => (await GetAsync("vm.info")).GetProperty("state").GetString()!;

    /// <summary>What the VMM has written to standard error.</summary>
    public async Task<string> ErrorsAsync() => (await _host.RunAsync($"cat {Directory}/stderr", Patience)).Output;

    /// <summary>The events of --event-monitor so far, as source:event.</summary>
    public async Task<IReadOnlyList<string>> EventsAsync()
    {
        string text = (await _host.RunAsync($"cat {Directory}/events", Patience)).OrThrow().Output;
        return
        [
            .. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                .Select(json => JsonDocument.Parse(json).RootElement)
                .Select(e => $"{e.GetProperty("source").GetString()}:{e.GetProperty("event").GetString()}"),
        ];
    }

    /// <summary>Waits until the event monitor has written an event so many times; a VMM that has ended writes none any more.</summary>
    public async Task WaitForEventAsync(string source, string name, int times = 1)
    {
        string count = $"cat {Directory}/events 2>/dev/null | tr -d ' \\n' | grep -o '\"source\":\"{source}\",\"event\":\"{name}\"' | wc -l";
        CommandResult result = await _host.RunAsync(
            $"for i in $(seq 1200); do test -e /proc/{ProcessId}; gone=$?; [ $({count}) -lt {times} ] || exit 0; [ $gone = 0 ] || exit 1; sleep 0.2; done; exit 1", Patience);
        Assert.True(result.ExitCode == 0, $"no event {source}:{name}\n{await ErrorsAsync()}\n{Console}");
    }

    /// <summary>Turns the guest off from inside and checks the end.</summary>
    public async Task PowerOffAsync()
    {
        await TypeAsync("poweroff");
        // A guest that comes up anew has forgotten the command.
        await AssertEndAsync(unless: Ready);
    }

    /// <summary>Waits for the VMM's end and checks that it was orderly and that nothing is left behind.</summary>
    /// <param name="exitCode">What it must have ended with.</param>
    /// <param name="othersRun">There are other VMMs on the host, so that it cannot be looked at as a whole.</param>
    /// <param name="unless">A text on the console after which the end is not to come any more.</param>
    public async Task AssertEndAsync(int exitCode = 0, bool othersRun = false, string? unless = null)
    {
        int code;
        try
        {
            code = await _process.WaitForExitAsync(Patience, unless);
        }
        catch (Exception e) when (e is NestedHostException or TimeoutException)
        {
            throw new InvalidOperationException($"{e.Message}\nstandard error of the VMM:\n{await ErrorsAsync()}", e);
        }

        Assert.True(code == exitCode, $"exit code {code}, not {exitCode}\n{await ErrorsAsync()}\n{Console}");
        await AssertNothingIsLeftAsync(othersRun);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            // By its id and before anything else: closing what the VMM is connected to might make it wait for something.
            await _host.CleanUpAsync(async () => (await _host.RunAsync(
                $"kill -KILL {ProcessId} 2>/dev/null; for i in $(seq 100); do [ -e /proc/{ProcessId} ] || exit 0; sleep 0.1; done; exit 1", EndLimit)).OrThrow());
        }

        await _host.CleanUpAsync(() => _process.DisposeAsync().AsTask());
        await _host.CleanUpAsync(async () => (await _host.RunAsync($"rm -rf {Directory}", EndLimit)).OrThrow());
    }

    private async Task FirstLightAsync(bool pulses)
    {
        await WaitForShellAsync();
        if (pulses)
        {
            await PulseAsync();
            _ = await RunAsync("true");
        }
    }

    private static async Task<GuestVm> StartAsync(GuestHost host, string flags, string? networkNamespace)
    {
        string directory = $"{host.Scratch}/{GuestHost.UniqueName("guest")}";
        string prefix = networkNamespace is null ? "" : $"ip netns exec {networkNamespace} ";
        HostProcess process = await host.StartAsync(
            $"mkdir -p {directory} && cd {directory} && echo CNVM-PROCESS-$$. && exec {prefix}{Shell.Quote(GuestHostFixture.Vmm)} --hypervisor {host.Hypervisor} --api-socket path={directory}/api.sock --event-monitor path={directory}/events {flags} -v 2>stderr");
        await process.WaitForAsync("CNVM-PROCESS-", Patience);
        await process.WaitForAsync(".", Patience);
        var guest = new GuestVm(host, process, directory, int.Parse(ProcessLine().Match(process.Output).Groups[1].Value));
        return await guest.OrDisposeAsync(guest.WaitForEventAsync("vmm", "starting"));
    }

    private async Task<GuestVm> OrDisposeAsync(Task start)
    {
        try
        {
            await start;
            return this;
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    private async Task AssertNothingIsLeftAsync(bool othersRun)
    {
        // Names of the machine's own files: what the test made itself is in a directory below.
        CommandResult left = await _host.RunAsync($"ls -A -p {Directory} | grep -v /; test ! -e /proc/{ProcessId} || echo process", Patience);
        Assert.Equal("events\nstderr\n", left.OrThrow().Output);
        if (_host.IsAlone && !othersRun)
        {
            left = await _host.RunAsync("ip -o link | grep -o 'vmtap[0-9]*' || true; pgrep -x cnvm-vmm || true; grep -c OFDLCK /proc/locks || true", Patience);
            Assert.Equal("0\n", left.OrThrow().Output);
        }
    }

    [GeneratedRegex(@"CNVM-PROCESS-(\d+)\.")]
    private static partial Regex ProcessLine();
}
