using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.RateLimits;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <summary>Frames from transmit buffers to the back end, written straight from guest memory.</summary>
internal sealed unsafe partial class TransmitWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const ulong BackendToken = 1;
    private const ulong LimitToken = 2;

    /// <summary>Frames before the used ring is published and the stop event gets a chance.</summary>
    private const int FramesPerTurn = 64;

    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly INetBackend _backend;
    private readonly int _pair;
    private readonly FrameCounter _counter;
    private readonly DescriptorChain _chain;
    private readonly LogRateLimit _dropLimit = new();
    private readonly string _name;
    private readonly Throttle? _throttle;
    private bool _isWaitingForRoom;

    public TransmitWorker(
        string name, QueueResources resources, INetBackend backend, int pair, FrameCounter counter, RateLimiter? limiter, ILogger logger)
        : base(name, logger)
    {
        _name = name;
        _resources = resources;
        _queue = resources.Queue;
        _backend = backend;
        _pair = pair;
        _counter = counter;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        Watch(resources.Notify.Fd, Libc.EPOLLIN, NotifyToken);
        if (limiter is not null)
        {
            _throttle = new Throttle(limiter);
            Watch(_throttle.Fd, Libc.EPOLLIN, LimitToken);
        }
    }

    protected override void OnStart() => Transmit();

    protected override void OnReady(ulong token, uint events)
    {
        switch (token)
        {
            case NotifyToken:
                _resources.Notify.Drain();
                break;
            case LimitToken:
                _throttle!.Wake();
                break;
            default:
                _isWaitingForRoom = false;
                Unwatch(_backend.GetRoomFd(_pair));
                break;
        }

        if (!_isWaitingForRoom && _throttle is not { IsWaiting: true })
        {
            Transmit();
        }
    }

    protected override void OnStop()
    {
        // A frame is either written and completed or still in the queue.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        _throttle?.Dispose();
        _chain.Dispose();
    }

    private void Transmit()
    {
        _queue.DisableNotifications();
        for (int i = 0; i < FramesPerTurn && _queue.TryPop(_chain); i++)
        {
            if (_throttle is not null && !_throttle.IsOpen())
            {
                _queue.UndoPop();
                break;
            }

            if (!Send())
            {
                _queue.UndoPop();
                _isWaitingForRoom = true;
                Watch(_backend.GetRoomFd(_pair), _backend.RoomEvents, BackendToken);
                break;
            }

            _queue.Complete(_chain, 0);
        }

        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }

        if (!_isWaitingForRoom && _throttle is not { IsWaiting: true } && _queue.EnableNotifications())
        {
            _resources.Notify.Signal();
        }
    }

    /// <summary>Sends or drops the frame; false when there is no room for it now.</summary>
    private bool Send()
    {
        uint bytes = _chain.ReadableBytes;
        if (bytes is < NetSpec.HeaderBytes + NetSpec.MinFrameBytes or > NetSpec.HeaderBytes + NetSpec.MaxFrameBytes)
        {
            Drop(bytes, 0);
            return true;
        }

        nint sent = _backend.Write(_pair, _chain.ReadableVectors, _chain.ReadableCount);
        if (sent == -Errno.EAGAIN)
        {
            return false;
        }

        if (sent < 0)
        {
            // The kernel refuses headers that make no sense, and frames while the interface is down.
            Drop(bytes, -(int)sent);
            return true;
        }

        _counter.Add(bytes - NetSpec.HeaderBytes);
        _throttle?.Charge(bytes - NetSpec.HeaderBytes);
        return true;
    }

    private void Drop(uint bytes, int errno)
    {
        if (_dropLimit.TryTake(out long suppressed))
        {
            LogDropped(Logger, _name, bytes, errno, suppressed);
        }
    }

    [LoggerMessage(
        Level = LogLevel.Debug, Message = "{Worker}: a frame of {Bytes} bytes was dropped (errno {Errno}; {Suppressed} like it not shown)")]
    private static partial void LogDropped(ILogger logger, string worker, uint bytes, int errno, long suppressed);
}
