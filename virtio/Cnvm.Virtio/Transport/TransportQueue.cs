using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Transport;

/// <summary>One queue as the transport's registers describe it. Guarded by the transport's lock, except for the doorbell.</summary>
internal sealed class TransportQueue(ushort maxSize) : IDisposable
{
    public ushort MaxSize { get; } = maxSize;

    /// <summary>Signalled by the driver's notification.</summary>
    public EventFd Notify { get; } = new();

    /// <summary>Layout, and where the device stopped last.</summary>
    public QueueState State { get; set; } = new() { Size = maxSize };

    /// <summary>The device serves the queue now.</summary>
    public bool IsRunning { get; set; }

    public void Reset()
    {
        State = new QueueState { Size = MaxSize };
        Notify.Drain();
    }

    public void Dispose() => Notify.Dispose();
}
