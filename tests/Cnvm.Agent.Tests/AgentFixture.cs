using System.Diagnostics;
using Process = System.Diagnostics.Process;
using System.Net.Sockets;
using Cnvm.Agent.Protocol;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Tests;

/// <summary>
/// The published agent as an ordinary process with a Unix socket, in mount, network and UTS namespaces of its own, and busybox as the only
/// thing in containers' root folders.
/// </summary>
public sealed class AgentFixture : IAsyncLifetime
{
    private const int LogBytes = 1 << 16;

    // What Linux gives the first process of a machine.
    private const string Limit = "--nofile=1024:4096";
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-agent-").FullName;
    private readonly System.Text.StringBuilder _log = new();
    private string? _groups;
    private Process? _process;
    private readonly TaskCompletionSource<bool> _listens = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TtrpcClient? _client;

    /// <summary>Why there is no agent; null if there is one.</summary>
    public string? Obstacle { get; private set; }

    internal TtrpcClient Client => _client!;

    public string Folder => _folder;

    /// <summary>What the agent has said on its console.</summary>
    public string Log
    {
        get
        {
            lock (_log)
            {
                return _log.ToString();
            }
        }
    }

    /// <summary>Descriptors that the agent has.</summary>
    public int Descriptors => Directory.GetFileSystemEntries($"/proc/{_process!.Id}/fd").Length;

    /// <summary>Where the containers' control groups are.</summary>
    public string Groups => _groups!;

    internal static string Program => Environment.GetEnvironmentVariable("CNVM_AGENT") ?? Path.Combine(Root, "out/sandbox/cnvm-agent");

    private static string Root
    {
        get
        {
            string folder = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(folder, "cnvm.sln")))
            {
                folder = Path.GetDirectoryName(folder)!;
            }

            return folder;
        }
    }

    public async Task InitializeAsync()
    {
        Obstacle = FindObstacle();
        if (Obstacle is not null)
        {
            return;
        }

        string socket = Path.Combine(_folder, "agent.sock");
        var start = new ProcessStartInfo("unshare", ["--mount", "--net", "--uts", "--", "prlimit", Limit, Program, "--listen", $"unix:{socket}", "--control-group", _groups!])
        {
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, e) =>
        {
            // Nothing: it has ended.
            if (e.Data is null || e.Data.Contains(" listens at ", StringComparison.Ordinal))
            {
                _listens.TrySetResult(e.Data is not null);
            }

            lock (_log)
            {
                if (_log.Length < LogBytes)
                {
                    _log.AppendLine(e.Data);
                }
            }
        };
        _process.BeginErrorReadLine();
        _client = await ConnectAsync();
    }

    /// <summary>A further connection.</summary>
    internal async Task<TtrpcClient> ConnectAsync()
    {
        string path = Path.Combine(_folder, "agent.sock");
        Assert.True(await _listens.Task.WaitAsync(TimeSpan.FromSeconds(60)), "the agent has ended: " + Log);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return new TtrpcClient(new NetworkStream(socket, ownsSocket: true));
    }

    /// <summary>A root folder with busybox and its links.</summary>
    internal string MakeRoot(string name)
    {
        string root = Path.Combine(_folder, name);
        string bin = Path.Combine(root, "bin");
        Directory.CreateDirectory(bin);
        foreach (string folder in (string[])["proc", "sys", "dev", "tmp", "etc"])
        {
            Directory.CreateDirectory(Path.Combine(root, folder));
        }

        File.Copy("/bin/busybox", Path.Combine(bin, "busybox"));
        foreach (string applet in "sh cat echo sleep id ls ps stat mount hostname env wc kill stty test grep head pwd mkdir touch tail true tr dd yes ulimit ip".Split(' '))
        {
            File.CreateSymbolicLink(Path.Combine(bin, applet), "busybox");
        }

        File.WriteAllText(Path.Combine(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nanna:x:1234:2345:Anna:/home/anna:/bin/sh\n");
        File.WriteAllText(Path.Combine(root, "etc/group"), "root:x:0:\nanna:x:2345:\nmusic:x:777:anna\n");
        return root;
    }

    internal Task<TResponse> CallAsync<TRequest, TResponse>(string method, TRequest request)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse> =>
        Client.CallAsync<TRequest, TResponse>(AgentService.Name, method, request, TimeSpan.FromSeconds(60));

    public async Task DisposeAsync()
    {
        if (_process is not null)
        {
            try
            {
                await CallAsync<DestroySandboxRequest, Empty>(AgentService.DestroySandbox, new DestroySandboxRequest());
            }
            catch (TtrpcException)
            {
                _process.Kill();
            }

            await _client!.DisposeAsync();
            if (!_process.WaitForExit(10_000))
            {
                _process.Kill();
                _process.WaitForExit();
            }

            _process.Dispose();
        }

        if (_groups is not null && Directory.Exists(_groups))
        {
            Directory.Delete(_groups);
        }

        Directory.Delete(_folder, recursive: true);
    }

    private string? FindObstacle()
    {
        string? hierarchy = File.ReadLines("/proc/mounts").Select(l => l.Split(' ')).FirstOrDefault(w => w.Length > 2 && w[2] == "cgroup2")?[1];
        if (Environment.UserName != "root" && Cnvm.Linux.PrivateDirectory.UserId != 0)
        {
            return "containers take root";
        }

        if (!File.Exists(Program))
        {
            return $"{Program} has not been built (make out/sandbox/cnvm-agent)";
        }

        if (!File.Exists("/bin/busybox"))
        {
            return "busybox-static is not installed";
        }

        if (hierarchy is null)
        {
            return "this machine has no cgroup2 hierarchy";
        }

        // Classes run beside one another in this process.
        _groups = $"{hierarchy}/{Path.GetFileName(_folder)}";
        try
        {
            Directory.CreateDirectory(_groups);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _groups = null;
            return $"no control group can be made: {e.Message}";
        }
    }
}
