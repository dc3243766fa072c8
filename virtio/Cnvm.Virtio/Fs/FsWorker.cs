using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Fs;

/// <summary>Serves one queue of a file system device: a request at a time, answered as soon as it is done, but for those that wait for a lock.</summary>
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
        : this(name, handle, null, [], resources, logger)
    {
    }

    /// <param name="handler">Answers requests, or has them wait.</param>
    /// <param name="kept">Buffers whose requests waited when the queue stopped.</param>
    public FsWorker(string name, FuseHandler handler, IReadOnlyList<ushort> kept, QueueResources resources, ILogger logger)
        : this(name, handler.Handle, handler, kept, resources, logger)
    {
    }

    private FsWorker(
        string name, Func<DescriptorChain, uint> handle, FuseHandler? handler, IReadOnlyList<ushort> kept, QueueResources resources, ILogger logger)
        : base(name, logger)
    {
        _name = name;
        _handle = handle;
        _resources = resources;
        _queue = resources.Queue;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        WatchDoorbell(resources.Notify, NotifyToken);
        _handler = handler;
        if (handler is not null)
        {
            _kept.AddRange(kept);
            _isLockReady = new EventFd();
            Watch(_isLockReady.Fd, Libc.EPOLLIN, LocksToken);
        }
    }

    protected override void OnStart()
    {
        // What the guest's programs do not want to give, its kernel has taken out of the modes already.
        if (!FileCreationMask.TrySetForThread(0))
        {
            LogMask(Logger, _name);
        }

        TakeKept();
        Serve();
    }

    protected override void OnReady(ulong token, uint events)
    {
        if (token == LocksToken)
        {
            FinishWaits();
            return;
        }

        TakeDoorbell(_resources.Notify);
        Serve();
    }

    // Nothing else is in flight between two requests, and every one was published.
    protected override void OnStop() => EndWaits();

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        // There are some only if the worker has failed.
        foreach (FsLockWait wait in _waits)
        {
            wait.End();
            _handler!.Waits.Remove(wait);
        }

        _isLockReady?.Dispose();
        _chain.Dispose();
    }

    private void Serve()
    {
        _queue.DisableNotifications();
        for (int i = 0; i < RequestsPerTurn && _queue.TryPop(_chain); i++)
        {
            Answer();
        }

        if (_queue.EnableNotifications())
        {
            _resources.Notify.Signal();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Worker}: the host does not let this thread have a umask of its own; new files get fewer permissions than the guest asks for")]
    private static partial void LogMask(ILogger logger, string worker);
}
