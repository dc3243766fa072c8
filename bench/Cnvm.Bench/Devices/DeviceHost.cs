using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>
/// Where guests of the device figures run: this machine, or a nested KVM host that is started for them. Has the guests' program and
/// initramfs, and one network namespace with a TAP, from which nothing leads anywhere. Everything is gone after <see cref="DisposeAsync"/>.
/// </summary>
internal sealed class DeviceHost : IAsyncDisposable
{
    /// <summary>The namespace's address on the TAP.</summary>
    public const string Address = "192.168.77.1";

    /// <summary>The guest's.</summary>
    public const string GuestAddress = "192.168.77.2";

    /// <summary>The TAP in the namespace.</summary>
    public const string Tap = "tap0";

    private const string ServingText = "work: serving";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly ICommandHost _commands;
    private readonly List<HostProcess> _servers = [];
    private string? _space;

    private DeviceHost(ICommandHost commands, string directory)
    {
        _commands = commands;
        Directory = directory;
    }

    /// <summary>For files of this host.</summary>
    public string Directory { get; }

    public bool IsNested => _commands is NestedHost;

    /// <summary>The program of bench/peers/work.c.</summary>
    public string Program => Directory + "/work";

    /// <summary>The small initramfs with that program in /bin.</summary>
    public string Initramfs => Directory + "/devices.cpio";

    /// <exception cref="UnavailableException">There is no nested host.</exception>
    public static async Task<DeviceHost> StartAsync(Workspace workspace, bool isNested)
    {
        string program = workspace.Compile("work");
        string initramfs = workspace.File("devices.cpio");
        if (!File.Exists(initramfs))
        {
            MakeInitramfs(workspace, program, initramfs);
        }

        ICommandHost commands = isNested ? await StartNestedAsync() : new LocalHost();
        var host = new DeviceHost(commands, workspace.File(isNested ? "nested" : $"devices-{Guid.NewGuid():n}"));
        try
        {
            await host.RunAsync($"mkdir -p {host.Directory}");
            await commands.CopyToAsync(program, host.Program);
            await commands.CopyToAsync(initramfs, host.Initramfs);
            await host.RunAsync($"chmod 755 {host.Program}");
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a bash command that must succeed.</summary>
    public async Task<string> RunAsync(string command) => (await _commands.RunAsync(command, Patience)).OrThrow().Output;

    /// <summary>Whether a bash command succeeds.</summary>
    public async Task<bool> SucceedsAsync(string command) => (await _commands.RunAsync(command, Patience)).ExitCode == 0;

    /// <summary>Starts a program that the caller ends.</summary>
    /// <param name="words">Its path and arguments.</param>
    /// <param name="isInSpace">In the network namespace.</param>
    public Task<HostProcess> StartAsync(IEnumerable<string> words, bool isInSpace = false)
    {
        IEnumerable<string> prefix = isInSpace ? ["ip", "netns", "exec", _space!] : [];
        return _commands.StartAsync("exec " + string.Join(' ', prefix.Concat(words).Select(Shell.Quote)));
    }

    /// <summary>The other end of streams or packets, until the host ends.</summary>
    public async Task ServeAsync(string address, bool isInSpace = false)
    {
        HostProcess server = await StartAsync([Program, "serve", address], isInSpace);
        _servers.Add(server);
        await server.WaitForAsync(ServingText, Patience);
    }

    /// <summary>Makes the network namespace with its TAP.</summary>
    /// <exception cref="UnavailableException">This user may not.</exception>
    public async Task MakeSpaceAsync()
    {
        string name = $"cnvmb{Environment.ProcessId}";
        CommandResult made = await _commands.RunAsync($"ip netns add {name}", Patience);
        if (made.ExitCode != 0)
        {
            throw new UnavailableException($"no network namespace: {made.Error.Trim()}");
        }

        _space = name;
        await RunAsync(
            $"ip -n {name} link set lo up && ip -n {name} tuntap add dev {Tap} mode tap && ip -n {name} address add {Address}/24 dev {Tap} && ip -n {name} link set {Tap} up");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (HostProcess server in _servers)
        {
            await server.DisposeAsync();
        }

        if (_commands is NestedHost nested)
        {
            await nested.DisposeAsync();
            return;
        }

        string space = _space is null ? "" : $"ip netns delete {_space}; ";
        await RunAsync($"{space}rm -rf {Directory}");
    }

    private static async Task<NestedHost> StartNestedAsync()
    {
        try
        {
            return await NestedHost.StartAsync();
        }
        catch (NestedHostException e)
        {
            throw new UnavailableException(e.Message);
        }
    }

    /// <summary>The kernel unpacks one archive behind the other.</summary>
    private static void MakeInitramfs(Workspace workspace, string program, string path)
    {
        string script = """
            set -euo pipefail
            mkdir -p "$1.tree/bin" && cp "$2" "$1.tree/bin/work" && cp "$3" "$1.new"
            (cd "$1.tree" && printf 'bin/work\n' | cpio -o -H newc -R 0:0 --quiet) >>"$1.new"
            mv "$1.new" "$1"
            """;
        Workspace.Output("bash", "-c", script, "initramfs", path, program, workspace.Image("initramfs.cpio"));
    }
}
