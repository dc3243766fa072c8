using System.Buffers.Binary;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.RateLimits;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <summary>
/// Frames from the back end into receive buffers, read straight into guest memory. Without buffers the back end is not watched,
/// so frames wait there, and a notification brings the worker back.
/// </summary>
internal sealed unsafe partial class ReceiveWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const ulong BackendToken = 1;
    private const ulong ActiveToken = 2;
    private const ulong LimitToken = 3;

    /// <summary>Frames before the used ring is published and the stop event gets a chance.</summary>
    private const int FramesPerTurn = 64;

    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly INetBackend _backend;
    private readonly int _pair;
    private readonly FrameCounter _counter;
    private readonly DescriptorChain _chain;
    private readonly EventFd _activeChanged = new();
    private readonly string _name;
    private readonly Throttle? _throttle;
    private volatile bool _wantActive;
    private bool _isActive;
    private bool _isWatching;

    public ReceiveWorker(
        string name,
        QueueResources resources,
        INetBackend backend,
        int pair,
        bool active,
        FrameCounter counter,
        RateLimiter? limiter,
        ILogger logger)
        : base(name, logger)
    {
        _name = name;
        _resources = resources;
        _queue = resources.Queue;
        _backend = backend;
        _pair = pair;
        _counter = counter;
        _wantActive = active;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        Watch(resources.Notify.Fd, Libc.EPOLLIN, NotifyToken);
        Watch(_activeChanged.Fd, Libc.EPOLLIN, ActiveToken);
        if (limiter is not null)
        {
            _throttle = new Throttle(limiter);
            Watch(_throttle.Fd, Libc.EPOLLIN, LimitToken);
        }
    }

    /// <summary>Whether the driver uses this pair. Any thread.</summary>
    public void SetActive(bool active)
    {
        _wantActive = active;
        _activeChanged.Signal();
    }

    protected override void OnStart()
    {
        // Whatever an earlier driver left: the back end learns it anew.
        _isActive = _wantActive;
        _backend.SetActive(_pair, _isActive);
        Receive();
    }

    protected override void OnReady(ulong token, uint events)
    {
        switch (token)
        {
            case NotifyToken:
                _resources.Notify.Drain();
                break;
            case ActiveToken:
                _activeChanged.Drain();
                ApplyActive();
                break;
            case LimitToken:
                _throttle!.Wake();
                break;
            default:
                break;
        }

        Receive();
    }

    protected override void OnStop()
    {
        // A frame is either in a completed buffer or still in the back end.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        _activeChanged.Dispose();
        _throttle?.Dispose();
        _chain.Dispose();
    }

    private void ApplyActive()
    {
        if (_wantActive != _isActive)
        {
            if (!_wantActive)
            {
                // A detached descriptor reports an error for ever: it must not be watched.
                SetWatching(false);
            }

            _isActive = _wantActive;
            _backend.SetActive(_pair, _isActive);
        }
    }

    private void Receive()
    {
        if (!_isActive || _queue.IsBroken || _throttle is { IsWaiting: true })
        {
            SetWatching(false);
            return;
        }

        _queue.DisableNotifications();
        bool isDrained = false;
        bool hasBuffers = true;
        bool isDead = false;
        for (int i = 0; i < FramesPerTurn && !isDrained; i++)
        {
            if (!_queue.TryPop(_chain))
            {
                if (_queue.EnableNotifications())
                {
                    continue;
                }

                hasBuffers = false;
                break;
            }

            if (_chain.WritableBytes < NetSpec.HeaderBytes)
            {
                _queue.Break("a receive buffer without room for the header");
                break;
            }

            if (_throttle is not null && !_throttle.IsOpen())
            {
                // Frames wait in the back end, which drops what it has no room for, as a slow link does.
                _queue.UndoPop();
                break;
            }

            nint got = _backend.Read(_pair, _chain.WritableVectors, _chain.WritableCount);
            if (got < NetSpec.HeaderBytes)
            {
                _queue.UndoPop();
                isDrained = true;
                isDead = got < 0 && got is not (-Errno.EAGAIN or -Errno.EINTR);
                if (isDead)
                {
                    LogBackendGone(Logger, _name, -(int)got);
                }

                continue;
            }

            Deliver((uint)Math.Min(got, _chain.WritableBytes));
        }

        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }

        SetWatching(hasBuffers && !isDead && !_queue.IsBroken && _throttle is not { IsWaiting: true });
    }

    private void Deliver(uint bytes)
    {
        // §5.1.6.4.1: without mergeable buffers num_buffers is always 1; the back end leaves the field as it was.
        Span<byte> one = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(one, 1);
        ChainWriter writer = new(_chain);
        writer.Advance(NetSpec.HeaderNumBuffers);
        writer.Write(one);
        _queue.Complete(_chain, bytes);
        _counter.Add(bytes - NetSpec.HeaderBytes);
        _throttle?.Charge(bytes - NetSpec.HeaderBytes);
    }

    private void SetWatching(bool watch)
    {
        if (watch == _isWatching)
        {
            return;
        }

        _isWatching = watch;
        if (watch)
        {
            Watch(_backend.GetReadFd(_pair), Libc.EPOLLIN, BackendToken);
        }
        else
        {
            Unwatch(_backend.GetReadFd(_pair));
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Worker}: the network back end is gone (errno {Errno}); nothing more is received")]
    private static partial void LogBackendGone(ILogger logger, string worker, int errno);
}
