using Cnvm.Agent.Protocol;
using Cnvm.Sandbox;

namespace Cnvm.Shim.Sandboxes;

/// <summary>A container in a virtual machine.</summary>
/// <param name="container">The library's.</param>
/// <param name="isRunning">It goes on from a saved state.</param>
internal sealed class VmContainer(Container container, bool isRunning) : IContainer
{
    public IContainerProcess Init { get; } = new VmProcess(container.Process);

    // Who has a container saved pauses it for that time, and so it is in the state.
    public Task StartAsync(CancellationToken cancellation) => isRunning ? container.ResumeAsync(cancellation) : container.StartAsync(cancellation);

    public async Task<IContainerProcess> ExecAsync(string id, ReadOnlyMemory<byte> process, CancellationToken cancellation) =>
        new VmProcess(await container.ExecAsync(id, process, cancellation));

    public Task PauseAsync(CancellationToken cancellation) => container.PauseAsync(cancellation);

    public Task ResumeAsync(CancellationToken cancellation) => container.ResumeAsync(cancellation);

    public Task UpdateAsync(ReadOnlyMemory<byte> resources, CancellationToken cancellation) => container.UpdateAsync(resources, cancellation);

    public Task<StatsContainerResponse> GetStatsAsync(CancellationToken cancellation) => container.GetStatsAsync(cancellation);

    public Task RemoveAsync(CancellationToken cancellation) => container.RemoveAsync(cancellation);
}
