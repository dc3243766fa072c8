using Cnvm.Devices.Serial;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Console;

/// <summary>The guest's output. What the backend refuses waits in its buffer.</summary>
internal sealed class ConsoleTransmitWorker : QueueWorker
{
    private const ulong NotifyToken = 0;
    private const ulong OutputToken = 1;
    private const int BytesPerTurn = 64 * 1024;
    private const int BuffersPerTurn = 64;
    private const int ChunkBytes = 256;

    private readonly QueueResources _resources;
    private readonly SplitQueue _queue;
    private readonly ISerialBackend _backend;
    private readonly EventFd _output = new();
    private readonly DescriptorChain _chain;
    private readonly byte[] _chunk = new byte[ChunkBytes];

    /// <param name="skip">Bytes of the first buffer that went out before an earlier stop.</param>
    public ConsoleTransmitWorker(string name, QueueResources resources, ISerialBackend backend, uint skip, ILogger logger)
        : base(name, logger)
    {
        _resources = resources;
        _queue = resources.Queue;
        _backend = backend;
        PartialBytes = skip;
        _chain = new DescriptorChain(DescriptorChain.CapacityFor(_queue.Size));
        Watch(resources.Notify.Fd, Libc.EPOLLIN, NotifyToken);
        Watch(_output.Fd, Libc.EPOLLIN, OutputToken);
    }

    /// <summary>Bytes of the next buffer that have gone out; meaningful once the worker has stopped.</summary>
    public uint PartialBytes { get; private set; }

    public void OutputReady() => _output.Signal();

    protected override void OnStart() => Transmit();

    protected override void OnReady(ulong token, uint events)
    {
        (token == NotifyToken ? _resources.Notify : _output).Drain();
        Transmit();
    }

    protected override void OnStop()
    {
        // A buffer that is not wholly out is still in the queue, and PartialBytes says how far it got.
    }

    protected override void OnFailure() => _queue.Break("the host failed to serve the queue");

    protected override void ReleaseResources()
    {
        _output.Dispose();
        _chain.Dispose();
    }

    private void Transmit()
    {
        _queue.DisableNotifications();
        int bytes = BytesPerTurn;
        int buffers = BuffersPerTurn;
        bool isRefused = false;
        while (bytes > 0 && buffers > 0 && !isRefused && _queue.TryPop(_chain))
        {
            buffers--;
            isRefused = !Send(ref bytes);
            if (PartialBytes < _chain.ReadableBytes)
            {
                _queue.UndoPop();
            }
            else
            {
                PartialBytes = 0;
                _queue.Complete(_chain, 0);
            }
        }

        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }

        // A backend that refuses calls back; until then notifications would be for nothing.
        if (!isRefused && _queue.EnableNotifications())
        {
            _resources.Notify.Signal();
        }
    }

    /// <summary>Sends on where the buffer was left; false when the backend refused a byte.</summary>
    private bool Send(ref int budget)
    {
        ChainReader reader = new(_chain);
        reader.Skip(PartialBytes);
        while (reader.Remaining > 0 && budget > 0)
        {
            int count = reader.Read(_chunk);
            for (int i = 0; i < count; i++)
            {
                if (!_backend.TryWrite(_chunk[i]))
                {
                    return false;
                }

                PartialBytes++;
                budget--;
            }
        }

        return true;
    }
}
