using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.Linux;
using Cnvm.Sandbox.Agent;

namespace Cnvm.Sandbox.Machine;

/// <summary>The program passt, which passes a guest's connections on as an ordinary program's own.</summary>
internal sealed class PasstProcess : IDisposable
{
    private const string Name = "passt";
    private const string Address = "10.0.2.15";
    private const string Gateway = "10.0.2.2";
    private const string Mask = "24";
    private const int KillSignal = 9;
    private const int PatienceMilliseconds = 5000;
    private readonly DetachedProcess _process;

    private PasstProcess(DetachedProcess process) => _process = process;

    /// <summary>Starts it and waits for its socket.</summary>
    /// <exception cref="SandboxException">It is not installed, or does not start.</exception>
    public static async Task<PasstProcess> StartAsync(
        SandboxNetwork.Passt network, SandboxFolder folder, string? networkNamespace, CancellationToken cancellation)
    {
        IEnumerable<string> folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        string program = folders.Select(f => Path.Combine(f, Name)).FirstOrDefault(File.Exists)
            ?? throw new SandboxException(
                SandboxErrorKind.Host, $"{Name} is not in PATH: the guest's network needs it (Debian's package {Name}); without network and ports it is not needed");
        List<string> words = [Name, "--foreground", "--stderr", "--quiet", "--socket", folder.PasstSocket, "--address", Address, "--netmask", Mask, "--gateway", Gateway];
        if (PrivateDirectory.UserId == 0)
        {
            // It would become nobody, who cannot make its socket in the sandbox's folder.
            words.AddRange(["--runas", "0:0"]);
        }

        AddPorts(words, "--tcp-ports", network, udp: false);
        AddPorts(words, "--udp-ports", network, udp: true);
        using var appears = new FileSystemWatcher(folder.Path, Path.GetFileName(folder.PasstSocket));
        var there = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        appears.Created += (_, _) => there.TrySetResult();
        appears.EnableRaisingEvents = true;
        using FileStream log = new(folder.PasstLog, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
        int descriptor = (int)log.SafeFileHandle.DangerousGetHandle();
        DetachedProcess Launch() => DetachedProcess.Start(program, words, descriptor, descriptor);
        var process = new PasstProcess(networkNamespace is null ? Launch() : NetworkNamespaces.Within(networkNamespace, Launch));
        try
        {
            Task ended = Task.Factory.StartNew(
                () => Poll.Wait([new PollEntry { Fd = process._process.Fd, Events = PollEntry.In }], -1), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            await Task.WhenAny(there.Task, ended).WaitAsync(cancellation).ConfigureAwait(false);
            return !ended.IsCompleted
                ? process
                : throw new SandboxException(SandboxErrorKind.Host, $"{Name} ended: {(await File.ReadAllTextAsync(folder.PasstLog, cancellation).ConfigureAwait(false)).Trim()}");
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <summary>Gives the guest the address that passt expects of it.</summary>
    public static async Task ConfigureGuestAsync(AgentConnection agent, CancellationToken cancellation)
    {
        await agent.CallAsync<UpdateInterfaceRequest, Interface>(
            AgentService.UpdateInterface,
            new UpdateInterfaceRequest
            {
                Interface = new Interface
                {
                    Device = "eth0", Name = "eth0", HwAddr = VmmCommandLine.GuestMac, Mtu = 1500,
                    IpAddresses = [new IPAddress { Family = IPFamily.V4, Address = Address, Mask = Mask }],
                },
            },
            cancellation).ConfigureAwait(false);
        await agent.CallAsync<UpdateRoutesRequest, Routes>(
            AgentService.UpdateRoutes,
            new UpdateRoutesRequest { Routes = new Routes { Items = [new Route { Gateway = Gateway, Device = "eth0" }] } },
            cancellation).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _process.Signal(KillSignal);
        if (Poll.Wait([new PollEntry { Fd = _process.Fd, Events = PollEntry.In }], PatienceMilliseconds) > 0)
        {
            _ = _process.ExitCode();
        }

        _process.Dispose();
    }

    private static void AddPorts(List<string> words, string flag, SandboxNetwork.Passt network, bool udp)
    {
        var ports = new List<string>();
        foreach (PortMapping port in network.Ports)
        {
            if (port.Udp == udp)
            {
                ports.Add(string.Create(CultureInfo.InvariantCulture, $"{port.Host}:{port.Guest}"));
            }
        }

        words.AddRange([flag, ports.Count == 0 ? "none" : $"{(network.ListenAddress is null ? "" : network.ListenAddress + "/")}{string.Join(',', ports)}"]);
    }
}
