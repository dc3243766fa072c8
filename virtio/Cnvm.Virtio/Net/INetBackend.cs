using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>
/// Where frames go to and come from. Every frame is led by a 12-byte virtio-net header. Each queue is read by one thread and
/// written by one thread.
/// </summary>
public unsafe interface INetBackend : IDisposable
{
    /// <summary>Queue pairs.</summary>
    int QueueCount { get; }

    /// <summary>Unfinished packets that <see cref="TrySetOffloads"/> can ask for.</summary>
    TapOffloads SupportedOffloads { get; }

    /// <summary>A descriptor that epoll finds readable while frames wait, writable while frames are taken.</summary>
    int GetFd(int queue);

    /// <summary>Reads one frame. Returns bytes with the header, or a negative error number; EAGAIN: none is waiting.</summary>
    nint Read(int queue, IoVec* vectors, int count);

    /// <summary>Writes one frame. Returns bytes, or a negative error number; EAGAIN: no room now.</summary>
    nint Write(int queue, IoVec* vectors, int count);

    /// <summary>Says which unfinished packets the driver takes. False: refused, nothing changed.</summary>
    bool TrySetOffloads(TapOffloads offloads);

    /// <summary>A queue that is not active gets no frames. Called by the thread that reads it.</summary>
    void SetActive(int queue, bool active);
}
