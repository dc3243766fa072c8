using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Transport;

/// <summary>One queue as the transport's registers describe it. Guarded by the transport's lock, except for the doorbell.</summary>
/// <param name="maxSize">Elements that it has at most, and at first.</param>
/// <param name="sharesDoorbell">Another process has the doorbell, too: nothing that can wait is done with it.</param>
internal sealed class TransportQueue(ushort maxSize, bool sharesDoorbell) : IDisposable
{
    public ushort MaxSize { get; } = maxSize;

    /// <summary>Signalled by the driver's notification.</summary>
    public EventFd Notify { get; } = new(sharesDoorbell);

    /// <summary>Layout, and where the device stopped last.</summary>
    public QueueState State { get; set; } = new() { Size = maxSize };

    /// <summary>The device serves the queue now.</summary>
    public bool IsRunning { get; set; }

    public void Reset()
    {
        State = new QueueState { Size = MaxSize };
        if (!sharesDoorbell)
        {
            // A notification that is left from before; on a shared doorbell it may stay.
            Notify.Drain();
        }
    }

    public void Dispose() => Notify.Dispose();
}
