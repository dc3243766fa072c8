using Cnvm.Shim.Sandboxes;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>Sandboxes that are plain processes of this machine.</summary>
internal sealed class ProcessSandboxFactory : ISandboxFactory
{
    /// <summary>All that were started.</summary>
    public List<ProcessSandbox> Sandboxes { get; } = [];

    /// <summary>What the next start fails with.</summary>
    public string? Failure { get; set; }

    public Task<ISandbox> StartAsync(SandboxSettings settings, CancellationToken cancellation)
    {
        if (Failure is not null)
        {
            throw new IOException(Failure);
        }

        var sandbox = new ProcessSandbox(settings);
        Sandboxes.Add(sandbox);
        return Task.FromResult<ISandbox>(sandbox);
    }

    public void CleanUp(string directory, string name) => throw new NotSupportedException("what is left of a process is nothing");
}
