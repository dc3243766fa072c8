using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Rng;

/// <summary>Serves the request queue of an entropy device.</summary>
internal sealed class RngWorker : QueueWorker
{
    /// <summary>Most bytes for one buffer: a driver asks for 64 or so, and a huge buffer must not hold the thread.</summary>
    private const int MaxBytes = 64 * 1024;
    private const int BuffersPerTurn = 64;
    private const ulong NotifyToken = 0;

    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly EntropySource _source;
    private readonly DescriptorChain _chain;

    public RngWorker(string name, QueueResources resources, EntropySource source, ILogger logger)
        : base(name, logger)
    {
        _resources = resources;
        _queue = resources.Queue;
        _source = source;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        Watch(resources.Notify.Fd, Libc.EPOLLIN, NotifyToken);
    }

    protected override void OnStart() => Serve();

    protected override void OnReady(ulong token, uint events)
    {
        _resources.Notify.Drain();
        Serve();
    }

    protected override void OnStop()
    {
        // Nothing is in flight between calls.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources() => _chain.Dispose();

    private void Serve()
    {
        _queue.DisableNotifications();
        int budget = BuffersPerTurn;
        while (budget > 0 && _queue.TryPop(_chain))
        {
            _queue.Complete(_chain, Fill());
            budget--;
        }

        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }

        if (_queue.EnableNotifications())
        {
            // More has come: look again after the stop event had its chance, so a busy driver cannot hold the thread.
            _resources.Notify.Signal();
        }
    }

    private uint Fill()
    {
        ChainWriter writer = new(_chain);
        while (writer.Written < MaxBytes)
        {
            Span<byte> room = writer.Room;
            if (room.IsEmpty)
            {
                break;
            }

            nint got = _source.Read(room[..(int)Math.Min(room.Length, MaxBytes - writer.Written)]);
            if (got == -Errno.EINTR)
            {
                continue;
            }

            if (got <= 0)
            {
                // The source is dry: the driver sees fewer bytes than it asked for.
                break;
            }

            writer.Advance((int)got);
        }

        return writer.Written;
    }
}
