using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Watchdog;

/// <summary>Takes the guest's signs of life and notices when there are none.</summary>
internal sealed partial class WatchdogWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const ulong TimerToken = 1;
    private const int BuffersPerTurn = 8;
    private const byte Alive = 1;

    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly DescriptorChain _chain;
    private readonly TimerFd _timer = new();
    private readonly long _timeout;
    private readonly Action _onExpired;
    private readonly string _name;

    /// <param name="isArmed">The guest has begun to report before.</param>
    public WatchdogWorker(string name, QueueResources resources, TimeSpan timeout, bool isArmed, Action onExpired, ILogger logger)
        : base(name, logger)
    {
        _name = name;
        _resources = resources;
        _queue = resources.Queue;
        _timeout = timeout.Ticks * TimeSpan.NanosecondsPerTick;
        _onExpired = onExpired;
        IsArmed = isArmed;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        Watch(resources.Notify.Fd, Libc.EPOLLIN, NotifyToken);
        Watch(_timer.Fd, Libc.EPOLLIN, TimerToken);
    }

    /// <summary>The guest is expected to report; meaningful while the thread does not run.</summary>
    public bool IsArmed { get; private set; }

    protected override void OnStart()
    {
        if (IsArmed)
        {
            // Nobody could report while the machine stood still.
            _timer.Set(_timeout);
        }

        Serve();
    }

    protected override void OnReady(ulong token, uint events)
    {
        if (token == NotifyToken)
        {
            _resources.Notify.Drain();
            Serve();
        }
        else if (_timer.Drain() && IsArmed)
        {
            IsArmed = false;
            LogExpired(Logger, _name, _timeout / 1_000_000);
            _onExpired();
        }
    }

    protected override void OnStop()
    {
        // Nothing is in flight between calls.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        _timer.Dispose();
        _chain.Dispose();
    }

    private void Serve()
    {
        _queue.DisableNotifications();
        bool isAlive = false;
        for (int i = 0; i < BuffersPerTurn && _queue.TryPop(_chain); i++)
        {
            ChainWriter writer = new(_chain);
            Span<byte> answer = [Alive];
            if (writer.Write(answer) == 0)
            {
                _queue.Break("a watchdog buffer without room");
                return;
            }

            _queue.Complete(_chain, 1);
            isAlive = true;
        }

        if (isAlive)
        {
            IsArmed = true;
            _timer.Set(_timeout);
        }

        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }

        if (_queue.EnableNotifications())
        {
            _resources.Notify.Signal();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Device}: the guest has been silent for {Milliseconds} ms: the machine is reset")]
    private static partial void LogExpired(ILogger logger, string device, long milliseconds);
}
