using Cnvm.Shim.Events;
using Cnvm.Shim.Sandboxes;
using Cnvm.Shim.Streams;
using Cnvm.Shim.Tasks;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim;

/// <summary>Everything of one shim but its socket. Disposing it ends its containers, if any are left, and hands the last events to containerd.</summary>
internal sealed class ShimSession : IAsyncDisposable
{
    private static readonly TimeSpan EventLimit = TimeSpan.FromSeconds(2);
    private readonly EventPublisher _events;
    private readonly ReadinessLoop _loop = new();
    private readonly Pod _pod;
    private readonly TaskCalls _calls;

    /// <param name="events">Owned from now on.</param>
    /// <param name="metrics">How figures are said on this host.</param>
    public ShimSession(ShimIdentity identity, ISandboxFactory factory, EventPublisher events, HostMetrics metrics, ILogger logger)
    {
        _events = events;
        _pod = new Pod(factory, identity, events, logger);
        _calls = new TaskCalls(_pod, events, new StreamOpener(_loop, identity.Namespace, logger), metrics, logger);
        Server = new TtrpcServer([new TaskService(_calls, logger).Build()], new TtrpcLog(logger));
    }

    /// <summary>Answers containerd's calls.</summary>
    public TtrpcServer Server { get; }

    /// <summary>Ends when containerd has no more use for this shim.</summary>
    public Task Shutdown => _calls.Shutdown;

    /// <summary>Somebody has connected: containerd, and so its other socket, is there.</summary>
    public void OnConnected() => _events.TryNow();

    public async ValueTask DisposeAsync()
    {
        await _pod.DisposeAsync();
        await _events.FinishAsync(EventLimit);
        await _events.DisposeAsync();
        _loop.Dispose();
    }
}
