using Cnvm.Devices.Serial;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Console;

/// <summary>Input for the guest. Without receive buffers it waits in the backend.</summary>
internal sealed class ConsoleReceiveWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const ulong InputToken = 1;
    private const int BuffersPerTurn = 16;

    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly ISerialBackend _backend;
    private readonly EventFd _input = new();
    private readonly DescriptorChain _chain;

    public ConsoleReceiveWorker(string name, QueueResources resources, ISerialBackend backend, ILogger logger)
        : base(name, logger)
    {
        _resources = resources;
        _queue = resources.Queue;
        _backend = backend;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        Watch(resources.Notify.Fd, Libc.EPOLLIN, NotifyToken);
        Watch(_input.Fd, Libc.EPOLLIN, InputToken);
    }

    public void InputReady() => _input.Signal();

    protected override void OnStart() => Receive();

    protected override void OnReady(ulong token, uint events)
    {
        (token == NotifyToken ? _resources.Notify : _input).Drain();
        Receive();
    }

    protected override void OnStop()
    {
        // Input is either in a completed buffer or still in the backend.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        _input.Dispose();
        _chain.Dispose();
    }

    private void Receive()
    {
        _queue.DisableNotifications();
        int budget = BuffersPerTurn;
        bool isDry = false;
        while (budget > 0 && !isDry && _queue.TryPop(_chain))
        {
            budget--;
            uint written = Fill();
            if (written > 0)
            {
                _queue.Complete(_chain, written);
            }
            else if (_chain.WritableBytes == 0)
            {
                _queue.Break("a console receive buffer without room");
            }
            else
            {
                _queue.UndoPop();
                isDry = true;
            }
        }

        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }

        // With the backend dry, its next input brings the worker back; buffers that wait are no news.
        if (_queue.EnableNotifications() && !isDry)
        {
            _resources.Notify.Signal();
        }
    }

    private uint Fill()
    {
        ChainWriter writer = new(_chain);
        while (!writer.Room.IsEmpty)
        {
            int got = _backend.Read(writer.Room);
            if (got <= 0)
            {
                break;
            }

            writer.Advance(got);
        }

        return writer.Written;
    }
}
