using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Fs;

/// <summary>Serves one queue of a file system device: a request at a time, answered as soon as it is done.</summary>
internal sealed partial class FsWorker : QueueWorker
{
    private const ulong NotifyToken = 0;

    /// <summary>Requests before the stop event gets a chance.</summary>
    private const int RequestsPerTurn = 64;

    private readonly string _name;
    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly Func<DescriptorChain, uint> _handle;
    private readonly DescriptorChain _chain;

    /// <param name="handle">Answers a request, and says how many bytes it wrote at the start of the chain's writable part. On the worker's thread.</param>
    public FsWorker(string name, Func<DescriptorChain, uint> handle, QueueResources resources, ILogger logger)
        : base(name, logger)
    {
        _name = name;
        _handle = handle;
        _resources = resources;
        _queue = resources.Queue;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        WatchDoorbell(resources.Notify, NotifyToken);
    }

    protected override void OnStart()
    {
        // What the guest's programs do not want to give, its kernel has taken out of the modes already.
        if (!FileCreationMask.TrySetForThread(0))
        {
            LogMask(Logger, _name);
        }

        Serve();
    }

    protected override void OnReady(ulong token, uint events)
    {
        TakeDoorbell(_resources.Notify);
        Serve();
    }

    protected override void OnStop()
    {
        // Nothing is in flight between two requests, and every one was published.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources() => _chain.Dispose();

    private void Serve()
    {
        _queue.DisableNotifications();
        for (int i = 0; i < RequestsPerTurn && _queue.TryPop(_chain); i++)
        {
            _queue.Complete(_chain, _handle(_chain));
            if (_queue.Publish())
            {
                _resources.Interrupts.SignalQueue(_queue.Index);
            }
        }

        if (_queue.EnableNotifications())
        {
            _resources.Notify.Signal();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Worker}: the host does not let this thread have a umask of its own; new files get fewer permissions than the guest asks for")]
    private static partial void LogMask(ILogger logger, string worker);
}
