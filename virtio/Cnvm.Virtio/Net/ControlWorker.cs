using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <summary>The control queue (virtio 1.2 §5.1.6.5): commands in, one acknowledgement byte out.</summary>
internal sealed class ControlWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const int CommandsPerTurn = 16;

    private readonly INetControl _device;
    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly DescriptorChain _chain;

    public ControlWorker(string name, INetControl device, QueueResources resources, ILogger logger)
        : base(name, logger)
    {
        _device = device;
        _resources = resources;
        _queue = resources.Queue;
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
        for (int i = 0; i < CommandsPerTurn && _queue.TryPop(_chain); i++)
        {
            if (_chain.WritableBytes == 0)
            {
                _queue.Break("a control command without room for its acknowledgement");
                return;
            }

            Span<byte> acknowledgement = [Perform() ? NetSpec.AckOk : NetSpec.AckError];
            ChainWriter writer = new(_chain);
            writer.Write(acknowledgement);
            _queue.Complete(_chain, 1);
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

    private bool Perform()
    {
        ChainReader reader = new(_chain);
        if (!reader.TryRead(out byte group) || !reader.TryRead(out byte command))
        {
            return false;
        }

        switch (group)
        {
            case NetSpec.ClassRx:
                // A TAP gives the guest everything anyway, as in promiscuous mode.
                return command <= NetSpec.RxLastCommand && reader.TryRead(out byte _);
            case NetSpec.ClassMac:
                return command == NetSpec.MacTableSet;
            case NetSpec.ClassAnnounce when command == NetSpec.AnnounceAck:
                _device.AcknowledgeAnnouncement();
                return true;
            case NetSpec.ClassMultiQueue when command == NetSpec.PairsSet:
                return reader.TryRead(out ushort pairs) && _device.TrySetActivePairs(pairs);
            case NetSpec.ClassGuestOffloads when command == NetSpec.OffloadsSet:
                return reader.TryRead(out ulong offloads) && _device.TrySetGuestOffloads(offloads);
            default:
                return false;
        }
    }
}
