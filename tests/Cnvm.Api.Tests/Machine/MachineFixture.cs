using System.Collections.Concurrent;
using Cnvm.Hypervisor.Soft;
using Cnvm.Linux;
using Cnvm.Vmm;

namespace Cnvm.Api.Tests.Machine;

/// <summary>The whole of a VMM behind its socket, with machines that really run: on the software vCPU, which works on any host.</summary>
internal sealed class MachineFixture : IDisposable
{
    private readonly VmmThread _thread = new();
    private readonly VmmService _vmm;
    private readonly ApiServer _server;

    public MachineFixture()
    {
        Kernel = Path.Combine(Folder, "kernel");
        File.WriteAllBytes(Kernel, TinyKernel.Build());
        SocketPath = Path.Combine(Folder, "api.sock");
        _vmm = new VmmService(
            new VmmOptions
            {
                OpenHypervisor = () => SoftHypervisor.Create(Log),
                Ping = new VmmPing("v0.0.0+test", "0.0.0", Environment.ProcessId, ["kvm"]),
                Logging = Log,
                ConfigCodec = new VmConfigCodec(),
                OnEvent = e => Events.Enqueue($"{e.Source}.{e.Name}"),
                OnExit = code => Exits.Enqueue(code),
            },
            _thread);
        _server = new ApiServer(UnixListener.Bind(SocketPath, ApiServer.Backlog), _vmm, _thread, Log);
        _server.ShutdownRequested += () => ShutdownRequested.Set();
        _server.Start();
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("cnvm-machine").FullName;

    public string SocketPath { get; }

    /// <summary>Path of a <see cref="TinyKernel"/>.</summary>
    public string Kernel { get; }

    public DefectLog Log { get; } = new();

    public ConcurrentQueue<string> Events { get; } = new();

    public ConcurrentQueue<int> Exits { get; } = new();

    public ManualResetEventSlim ShutdownRequested { get; } = new(false);

    /// <summary>A body for <c>vm.create</c> of a small machine without consoles; <paramref name="more"/> goes behind it, with a comma in front.</summary>
    public string Body(string more = "") =>
        $$"""{"payload":{"kernel":"{{Kernel}}"},"memory":{"size":8388608},"serial":{"mode":"Null"},"console":{"mode":"Off"}{{more}}}""";

    /// <summary>Path of a new disk image of 1 MiB.</summary>
    public string Disk(string name)
    {
        string path = Path.Combine(Folder, name);
        using FileStream file = File.Create(path);
        file.SetLength(1 << 20);
        return path;
    }

    public RawClient Connect() => new(SocketPath);

    public void Dispose()
    {
        _server.Dispose();
        _thread.Dispose();
        _vmm.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
