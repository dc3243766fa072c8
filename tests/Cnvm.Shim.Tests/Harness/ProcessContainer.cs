using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Cnvm.Agent.Protocol;
using Cnvm.Shim.Sandboxes;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>A container whose processes run on this machine.</summary>
internal sealed class ProcessContainer : IContainer
{
    private readonly ProcessOfContainer _init;
    private readonly Task _machineEnded;
    private readonly ConcurrentBag<ProcessOfContainer> _execs = [];

    public ProcessContainer(ContainerSettings settings, Task machineEnded)
    {
        Settings = settings;
        _machineEnded = machineEnded;
        using JsonDocument spec = JsonDocument.Parse(settings.Spec);
        _init = new ProcessOfContainer(spec.RootElement.GetProperty("process"), machineEnded);
    }

    public ContainerSettings Settings { get; }

    public IContainerProcess Init => _init;

    public ProcessOfContainer InitProcess => _init;

    public IEnumerable<ProcessOfContainer> Execs => _execs;

    public bool IsRemoved { get; private set; }

    /// <summary>Resources that updates brought.</summary>
    public List<string> Updates { get; } = [];

    public Task StartAsync(CancellationToken cancellation)
    {
        _init.Start();
        return Task.CompletedTask;
    }

    public Task<IContainerProcess> ExecAsync(string id, ReadOnlyMemory<byte> process, CancellationToken cancellation)
    {
        using JsonDocument spec = JsonDocument.Parse(process);
        var made = new ProcessOfContainer(spec.RootElement, _machineEnded);
        made.Start();
        _execs.Add(made);
        return Task.FromResult<IContainerProcess>(made);
    }

    public Task PauseAsync(CancellationToken cancellation) => _init.SignalAsync(Native.SigStop, cancellation);

    public Task ResumeAsync(CancellationToken cancellation) => _init.SignalAsync(Native.SigCont, cancellation);

    public Task UpdateAsync(ReadOnlyMemory<byte> resources, CancellationToken cancellation)
    {
        Updates.Add(Encoding.UTF8.GetString(resources.Span));
        return Task.CompletedTask;
    }

    public Task<StatsContainerResponse> GetStatsAsync(CancellationToken cancellation) => Task.FromResult(new StatsContainerResponse
    {
        CgroupStats = new CgroupStats
        {
            PidsStats = new PidsStats { Current = 3 },
            MemoryStats = new MemoryStats { Usage = new MemoryData { Usage = 4096 } },
        },
    });

    public Task RemoveAsync(CancellationToken cancellation)
    {
        IsRemoved = true;
        KillAll();
        return Task.CompletedTask;
    }

    public void KillAll()
    {
        foreach (ProcessOfContainer process in _execs.Append(_init))
        {
            process.KillIfRunning();
        }
    }
}
