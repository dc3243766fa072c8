using System.Diagnostics;
using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.RateLimits;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block;

/// <summary>Serves one queue of a block device: descriptors in, requests to the image, status bytes out.</summary>
internal sealed partial class BlockWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const ulong CompletedToken = 1;
    private const ulong LimitToken = 2;

    /// <summary>Rounds of taking and completing before the stop event gets a chance.</summary>
    private const int RoundsPerTurn = 16;

    /// <summary>Requests in flight, whatever the queue's size.</summary>
    private const int MaxInFlight = 256;

    private readonly BlockDevice _device;
    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly IBlockQueue _io;
    // Made when a place is first used: a guest that has few requests in flight does not pay for all places. They are taken from the top
    // of the stack of free ones, so that the same few serve such a guest.
    private readonly BlockRequest?[] _requests;
    private readonly int[] _free;
    private readonly int[]? _hostCpus;
    private readonly TransferCounter _reads;
    private readonly TransferCounter _writes;
    private readonly LogRateLimit _errorLimit = new();
    private readonly Throttle? _throttle;
    private readonly int _chainCapacity;
    private int _freeCount;

    public BlockWorker(
        string name,
        BlockDevice device,
        QueueResources resources,
        TransferCounter reads,
        TransferCounter writes,
        int[]? hostCpus,
        ILogger logger)
        : base(name, logger)
    {
        _device = device;
        _resources = resources;
        _queue = resources.Queue;
        _hostCpus = hostCpus;
        _reads = reads;
        _writes = writes;
        int depth = Math.Min(_queue.Size, MaxInFlight);
        _io = device.Image.OpenQueue(depth, device.Id);
        _requests = new BlockRequest[depth];
        _free = new int[depth];
        for (int i = 0; i < depth; i++)
        {
            _free[i] = i;
        }

        _freeCount = depth;

        // A driver that makes its queue smaller than it may be has been told of as many segments as the largest one takes.
        _chainCapacity = DescriptorChain.CapacityFor(Math.Max(_queue.Size, device.QueueSizes[_queue.Index]));
        WatchDoorbell(resources.Notify, NotifyToken);
        Watch(_io.Completed.Fd, Libc.EPOLLIN, CompletedToken);
        if (device.RateLimiter is { } limiter)
        {
            _throttle = new Throttle(limiter);
            Watch(_throttle.Fd, Libc.EPOLLIN, LimitToken);
        }
    }

    private int InFlight => _requests.Length - _freeCount;

    protected override void OnStart()
    {
        if (_hostCpus is { } cpus)
        {
            Pin(cpus);
        }

        Serve();
    }

    protected override void OnReady(ulong token, uint events)
    {
        switch (token)
        {
            case NotifyToken:
                TakeDoorbell(_resources.Notify);
                break;
            case LimitToken:
                _throttle!.Wake();
                break;
            default:
                _io.Completed.Drain();
                break;
        }

        Serve();
    }

    protected override void OnStop()
    {
        while (InFlight > 0)
        {
            _io.Wait();
            Reap();
        }

        Publish();
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        _io.Dispose();
        _throttle?.Dispose();
        if (InFlight > 0)
        {
            // After a host failure the kernel may still use the vectors: losing them is better than reusing them.
            return;
        }

        foreach (BlockRequest? request in _requests)
        {
            request?.Dispose();
        }
    }

    private void Serve()
    {
        _queue.DisableNotifications();
        for (int round = 0; round < RoundsPerTurn; round++)
        {
            bool moved = Take();
            _io.Kick();
            moved |= Reap();
            Publish();
            if (!moved)
            {
                break;
            }
        }

        // A step that was submitted again in the last round.
        _io.Kick();

        // With every place taken, a completion brings the worker back here, and at a limit the timer; until then no notification is wanted.
        if (_freeCount > 0 && _throttle is not { IsWaiting: true } && _queue.EnableNotifications())
        {
            _resources.Notify.Signal();
        }
    }

    private void Pin(int[] cpus)
    {
        try
        {
            NativeThread.SetAffinity(cpus);
        }
        catch (LinuxException e)
        {
            // The CPUs may have gone since the machine was made; a disk that is slower is better than none.
            LogNotPinned(Logger, e, _device.Id, _queue.Index);
        }
    }

    private bool Take()
    {
        // Requests that are done at once give their place back: without a limit a driver that never stops making more would be all that is seen here.
        bool any = false;
        for (int i = 0; i < _queue.Size && _freeCount > 0 && _throttle is not { IsWaiting: true }; i++)
        {
            int token = _free[_freeCount - 1];
            BlockRequest request = _requests[token] ??= new BlockRequest(token, _chainCapacity);
            if (!_queue.TryPop(request.Chain))
            {
                break;
            }

            if (_throttle is not null && !_throttle.TryTake(DataBytes(request.Chain)))
            {
                _queue.UndoPop();
                break;
            }

            _freeCount--;
            any = true;
            request.Started = Stopwatch.GetTimestamp();
            Begin(request);
        }

        return any;
    }

    /// <summary>What a request counts as, whatever it turns out to be: all of it but the header and the status.</summary>
    private static uint DataBytes(DescriptorChain chain) =>
        (chain.ReadableBytes > BlockSpec.HeaderBytes ? chain.ReadableBytes - BlockSpec.HeaderBytes : 0) + (chain.WritableBytes > 1 ? chain.WritableBytes - 1 : 0);

    private bool Reap()
    {
        bool any = false;
        while (_io.TryComplete(out int token, out int result))
        {
            any = true;
            Continue(_requests[token]!, result);
        }

        return any;
    }

    private void Publish()
    {
        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }
    }

    /// <summary>A step of a request is done: go on with the next, or finish.</summary>
    private void Continue(BlockRequest request, int result)
    {
        if (request.Operation is not (BlockOperation.Read or BlockOperation.Flush) && !request.IsFlushing)
        {
            // Marked after the step, whatever came of it: who unmarks and reads later finds all of it, who read earlier finds the mark.
            _device.Changes?.Mark(request.Offset, request.Remaining);
        }

        if (result is -Errno.EINTR or -Errno.EAGAIN)
        {
            request.Submit(_io);
            return;
        }

        bool isTransfer = request.Operation is BlockOperation.Read or BlockOperation.Write;
        if (result < 0 || (result == 0 && isTransfer && !request.IsFlushing))
        {
            Fail(request, result);
            return;
        }

        if (isTransfer && !request.IsFlushing)
        {
            request.Advance((uint)Math.Min((ulong)result, request.Remaining));
            if (request.Remaining > 0)
            {
                request.Submit(_io);
                return;
            }
        }

        bool isChange = request.Operation is not (BlockOperation.Read or BlockOperation.Flush);
        if (isChange && !request.IsFlushing && (!_device.IsWriteBack || (_device.OutlivesProcess && _device.Image.HasUnwrittenTables)))
        {
            // Write-through: the driver sends no flushes, so the write is done only when it is stable (§5.2.6.2).
            request.IsFlushing = true;
            request.Submit(_io);
            return;
        }

        long ticks = Stopwatch.GetTimestamp() - request.Started;
        if (request.Operation == BlockOperation.Read)
        {
            _reads.Add(request.DataBytes, ticks);
        }
        else if (request.Operation == BlockOperation.Write)
        {
            _writes.Add(request.DataBytes, ticks);
        }

        Finish(request, BlockSpec.StatusOk);
    }

    private void Fail(BlockRequest request, int result)
    {
        if (result == -Errno.EOPNOTSUPP)
        {
            Finish(request, BlockSpec.StatusUnsupported);
            return;
        }

        if (_errorLimit.TryTake(out long suppressed))
        {
            LogIoError(Logger, _device.Id, request.Operation, request.Offset, request.Remaining, -result, suppressed);
        }

        Finish(request, BlockSpec.StatusIoError);
    }

    /// <summary>Writes the status byte, the last of the chain, and gives the request back.</summary>
    private void Finish(BlockRequest request, byte status)
    {
        DescriptorChain chain = request.Chain;
        ChainWriter writer = new(chain);
        writer.Advance((int)chain.WritableBytes - 1);
        Span<byte> one = [status];
        writer.Write(one);

        // The status byte lies behind the data, so the whole writable part counts as written, also where a read failed half-way.
        _queue.Complete(chain, chain.WritableBytes);
        Release(request);
    }

    private void Release(BlockRequest request)
    {
        request.End();
        _free[_freeCount++] = request.Token;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: the thread of queue {Queue} cannot run on the host CPUs that are configured")]
    private static partial void LogNotPinned(ILogger logger, Exception exception, string device, int queue);

    [LoggerMessage(
        Level = LogLevel.Error,
        Message = "{Device}: {Operation} at byte {Offset} failed, {Remaining} bytes to go: errno {Errno} ({Suppressed} like it not shown)")]
    private static partial void LogIoError(
        ILogger logger, string device, BlockOperation operation, ulong offset, ulong remaining, int errno, long suppressed);
}
