using Cnvm.Sandbox;
using Cnvm.Shim.Metrics;

namespace Cnvm.Shim.Sandboxes;

/// <summary>A container in a virtual machine.</summary>
internal sealed class VmContainer(Container container) : IContainer
{
    public IContainerProcess Init { get; } = new VmProcess(container.Process);

    public Task StartAsync(CancellationToken cancellation) => container.StartAsync(cancellation);

    public async Task<IContainerProcess> ExecAsync(string id, ReadOnlyMemory<byte> process, CancellationToken cancellation) =>
        new VmProcess(await container.ExecAsync(id, process, cancellation));

    public Task PauseAsync(CancellationToken cancellation) => container.PauseAsync(cancellation);

    public Task ResumeAsync(CancellationToken cancellation) => container.ResumeAsync(cancellation);

    public Task UpdateAsync(ReadOnlyMemory<byte> resources, CancellationToken cancellation) => container.UpdateAsync(resources, cancellation);

    public async Task<CgroupMetrics> GetMetricsAsync(CancellationToken cancellation) => GuestMetrics.Of(await container.GetStatsAsync(cancellation));

    public Task RemoveAsync(CancellationToken cancellation) => container.RemoveAsync(cancellation);
}
