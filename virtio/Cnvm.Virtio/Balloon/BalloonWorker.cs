using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Balloon;

/// <summary>Serves the queues of a balloon.</summary>
internal sealed class BalloonWorker : QueueWorker
{
    private const ulong RefreshToken = BalloonSpec.MaxQueues;
    private const int BuffersPerTurn = 16;

    private readonly QueueResources?[] _queues = new QueueResources?[BalloonSpec.MaxQueues];
    private readonly DescriptorChain _chain = new(DescriptorChain.CapacityFor(BalloonSpec.QueueSize));
    private readonly DescriptorChain _statisticsChain = new(DescriptorChain.CapacityFor(BalloonSpec.QueueSize));
    private readonly EventFd _refresh = new();
    private bool _hasStatisticsBuffer;
    private ulong _inflatedBytes;
    private ulong _reportedBytes;

    public BalloonWorker(string name, ILogger logger)
        : base(name, logger) => Watch(_refresh.Fd, Libc.EPOLLIN, RefreshToken);

    public BalloonStatistics Statistics { get; } = new();

    public ulong InflatedBytes => Volatile.Read(ref _inflatedBytes);

    public ulong ReportedBytes => Volatile.Read(ref _reportedBytes);

    /// <summary>Gives the worker a queue, or takes it back. While the thread does not run.</summary>
    public void SetQueue(BalloonQueue kind, QueueResources? resources)
    {
        if (_queues[(int)kind] is { } old)
        {
            Unwatch(old.Notify.Fd);
        }

        _queues[(int)kind] = resources;
        if (resources is not null)
        {
            Watch(resources.Notify.Fd, Libc.EPOLLIN, (ulong)kind);
        }
    }

    /// <summary>Asks the guest for new figures. Any thread.</summary>
    public void RefreshStatistics() => _refresh.Signal();

    protected override void OnStart()
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            Serve((BalloonQueue)i);
        }
    }

    protected override void OnReady(ulong token, uint events)
    {
        if (token == RefreshToken)
        {
            _refresh.Drain();
            ReturnStatisticsBuffer();
            return;
        }

        _queues[(int)token]?.Notify.Drain();
        Serve((BalloonQueue)token);
    }

    protected override void OnStop()
    {
        if (_hasStatisticsBuffer)
        {
            // The device keeps this buffer until it wants new figures; whoever goes on takes it again.
            _hasStatisticsBuffer = false;
            _queues[(int)BalloonQueue.Statistics]?.Queue.UndoPop();
        }
    }

    protected override void OnFailure()
    {
        foreach (QueueResources? queue in _queues)
        {
            queue?.Queue.Break("the host failed to serve the queue");
        }
    }

    protected override void ReleaseResources()
    {
        _chain.Dispose();
        _statisticsChain.Dispose();
        _refresh.Dispose();
    }

    private void Serve(BalloonQueue kind)
    {
        if (_queues[(int)kind] is not { } resources)
        {
            return;
        }

        SplitQueue queue = resources.Queue;
        queue.DisableNotifications();
        if (kind == BalloonQueue.Statistics)
        {
            TakeStatistics(resources);
        }
        else
        {
            for (int i = 0; i < BuffersPerTurn && queue.TryPop(_chain); i++)
            {
                if (!TryServe(kind, resources))
                {
                    break;
                }

                queue.Complete(_chain, 0);
            }

            Publish(resources);
        }

        if (queue.EnableNotifications() && !(kind == BalloonQueue.Statistics && _hasStatisticsBuffer))
        {
            resources.Notify.Signal();
        }
    }

    private bool TryServe(BalloonQueue kind, QueueResources resources)
    {
        switch (kind)
        {
            case BalloonQueue.Inflate:
                return _chain.ReadableBytes <= BalloonSpec.MaxInflateBytes
                    ? Inflate(resources.Memory)
                    : resources.Queue.Break("an inflate buffer of more than 16384 pages");
            case BalloonQueue.Reporting:
                Report(resources.Memory);
                return true;
            default:
                // Pages that the guest takes back come when it touches them.
                return true;
        }
    }

    /// <summary>Gives the pages of a buffer back, neighbours together: drivers give them one by one, mostly in order.</summary>
    private bool Inflate(GuestMemory memory)
    {
        const ulong PageBytes = 1UL << BalloonSpec.PageShift;
        ChainReader reader = new(_chain);
        ulong start = 0;
        ulong length = 0;
        while (reader.TryRead(out uint number))
        {
            ulong page = (ulong)number << BalloonSpec.PageShift;
            if (length > 0 && page == start + length)
            {
                length += PageBytes;
            }
            else if (length > 0 && page + PageBytes == start)
            {
                start = page;
                length += PageBytes;
            }
            else
            {
                Release(memory, start, length);
                start = page;
                length = PageBytes;
            }
        }

        Release(memory, start, length);
        return true;
    }

    private void Release(GuestMemory memory, ulong gpa, ulong length)
    {
        if (length > 0)
        {
            Volatile.Write(ref _inflatedBytes, _inflatedBytes + memory.TryRelease(gpa, length));
        }
    }

    /// <summary>Gives back pages that are free in the guest: the writable pieces themselves (§5.5.6.7).</summary>
    private void Report(GuestMemory memory)
    {
        for (int i = 0; i < _chain.WritableCount; i++)
        {
            ulong bytes = memory.TryRelease(_chain.WritableAddress(i), _chain.Writable[i].Length);
            Volatile.Write(ref _reportedBytes, _reportedBytes + bytes);
        }
    }

    private void TakeStatistics(QueueResources resources)
    {
        if (!_hasStatisticsBuffer && resources.Queue.TryPop(_statisticsChain))
        {
            Statistics.Take(new ChainReader(_statisticsChain));
            _hasStatisticsBuffer = true;
        }
    }

    /// <summary>§5.5.6.3: the driver answers a returned buffer with one of new figures.</summary>
    private void ReturnStatisticsBuffer()
    {
        if (_hasStatisticsBuffer && _queues[(int)BalloonQueue.Statistics] is { } resources)
        {
            _hasStatisticsBuffer = false;
            resources.Queue.Complete(_statisticsChain, 0);
            Publish(resources);
            Serve(BalloonQueue.Statistics);
        }
    }

    private static void Publish(QueueResources resources)
    {
        if (resources.Queue.Publish())
        {
            resources.Interrupts.SignalQueue(resources.Queue.Index);
        }
    }
}
