using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;
using Cnvm.Shim.Sandboxes;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>A process that sleeps stands for the virtual machine; when it is killed, its containers are.</summary>
internal sealed class ProcessSandbox : ISandbox
{
    private readonly Process _machine = Process.Start("/bin/sleep", "1000");
    private readonly ConcurrentBag<ProcessContainer> _containers = [];

    public ProcessSandbox(SandboxSettings settings)
    {
        Settings = settings;
        Ended = EndAsync();
    }

    public SandboxSettings Settings { get; }

    public int ProcessId => _machine.Id;

    public Task Ended { get; }

    public bool IsDisposed { get; private set; }

    /// <summary>Folders that states were saved to.</summary>
    public List<string> Saved { get; } = [];

    /// <summary>Identifiers of containers that are out of memory.</summary>
    public Channel<string> OutOfMemory { get; } = Channel.CreateUnbounded<string>();

    public IEnumerable<ProcessContainer> Containers => _containers;

    public Task<IContainer> CreateAsync(ContainerSettings settings, CancellationToken cancellation)
    {
        var container = new ProcessContainer(settings, Ended);
        _containers.Add(container);
        return Task.FromResult<IContainer>(container);
    }

    public async Task<string> WaitForOutOfMemoryAsync(CancellationToken cancellation) => await OutOfMemory.Reader.ReadAsync(cancellation);

    public Task SaveAsync(string container, string directory, CancellationToken cancellation)
    {
        Saved.Add(directory);
        File.WriteAllText(Path.Combine(directory, "state"), container);
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        IsDisposed = true;
        Native.Kill(_machine.Id, Native.SigKill);
        await Ended;
    }

    private async Task EndAsync()
    {
        await _machine.WaitForExitAsync();
        foreach (ProcessContainer container in _containers)
        {
            container.KillAll();
        }
    }
}
