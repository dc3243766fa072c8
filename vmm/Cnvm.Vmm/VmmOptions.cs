using System.Diagnostics;
using Cnvm.Hypervisor;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm;

/// <summary>What the program that embeds the VMM gives it.</summary>
public sealed record VmmOptions
{
    /// <summary>Opens the hypervisor; called once, when the first machine boots. The VMM owns the result.</summary>
    public required Func<IHypervisor> OpenHypervisor { get; init; }

    /// <summary>The answer to <see cref="IVmm.Ping"/>.</summary>
    public required VmmPing Ping { get; init; }

    public required ILoggerFactory Logging { get; init; }

    /// <summary>Writes and reads the configuration that lies in a snapshot.</summary>
    public required IVmConfigCodec ConfigCodec { get; init; }

    /// <summary>Told of everything that the event monitor shows. Any thread; must not block.</summary>
    public Action<VmmEvent> OnEvent { get; init; } = static _ => { };

    /// <summary>Timestamp (<see cref="Stopwatch.GetTimestamp"/>) of the process's start; events are dated from there.</summary>
    public long Started { get; init; } = Stopwatch.GetTimestamp();

    /// <summary>
    /// The process should end with this exit code: the guest powered off, failed, or a person quit. Any thread; called at most once
    /// for each reason.
    /// </summary>
    public required Action<int> OnExit { get; init; }

    /// <summary>A guest that powers off leaves the VMM running (its configuration can be booted again).</summary>
    public bool NoShutdown { get; init; }
}
