using Cnvm.Agent.Protocol;

namespace Cnvm.Shim.Sandboxes;

/// <summary>A container of a sandbox. All methods throw <see cref="IOException"/> when the guest refuses or is gone.</summary>
internal interface IContainer
{
    /// <summary>Its first process.</summary>
    IContainerProcess Init { get; }

    /// <summary>Lets the first process run.</summary>
    Task StartAsync(CancellationToken cancellation);

    /// <summary>Starts a further process.</summary>
    /// <param name="id">Unique in the container.</param>
    /// <param name="process">JSON of an OCI process.</param>
    Task<IContainerProcess> ExecAsync(string id, ReadOnlyMemory<byte> process, CancellationToken cancellation);

    Task PauseAsync(CancellationToken cancellation);

    Task ResumeAsync(CancellationToken cancellation);

    /// <param name="resources">JSON of OCI's linux.resources.</param>
    Task UpdateAsync(ReadOnlyMemory<byte> resources, CancellationToken cancellation);

    /// <summary>What it uses, as the agent says it.</summary>
    Task<StatsContainerResponse> GetStatsAsync(CancellationToken cancellation);

    /// <summary>Ends what still runs in the container and forgets it.</summary>
    Task RemoveAsync(CancellationToken cancellation);
}
