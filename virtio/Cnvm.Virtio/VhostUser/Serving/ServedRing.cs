using Cnvm.Linux;
using Cnvm.Linux.Vhost;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>What a front end has said of one ring. Its own thread, but for <see cref="Signal"/> and <see cref="SignalError"/>: any.</summary>
internal sealed class ServedRing : IDisposable
{
    private readonly Lock _gate = new();
    private EventFd? _call;
    private EventFd? _error;

    /// <summary>Elements; 0 before it was said.</summary>
    public ushort Size { get; set; }

    /// <summary>Where it lies in the front end's address space.</summary>
    public vhost_vring_addr? Place { get; set; }

    /// <summary>Where the next available element is taken.</summary>
    public ushort Next { get; set; }

    public bool IsEnabled { get; set; }

    public bool IsRunning { get; set; }

    /// <summary>The driver's doorbell; null: the ring is stopped.</summary>
    public EventFd? Kick { get; private set; }

    /// <summary>A new doorbell, or none. The ring does not run.</summary>
    public void SetKick(EventFd? kick)
    {
        Kick?.Dispose();
        Kick = kick;
    }

    public void SetCall(EventFd? call)
    {
        lock (_gate)
        {
            _call?.Dispose();
            _call = call;
        }
    }

    public void SetError(EventFd? error)
    {
        lock (_gate)
        {
            _error?.Dispose();
            _error = error;
        }
    }

    /// <summary>Tells the driver of used buffers.</summary>
    public void Signal()
    {
        lock (_gate)
        {
            _call?.Signal();
        }
    }

    /// <summary>Tells the front end that the ring is given up.</summary>
    public void SignalError()
    {
        lock (_gate)
        {
            _error?.Signal();
        }
    }

    /// <summary>Forgets everything. The ring does not run.</summary>
    public void Dispose()
    {
        SetKick(null);
        SetCall(null);
        SetError(null);
        Size = 0;
        Place = null;
        Next = 0;
        IsEnabled = false;
    }
}
