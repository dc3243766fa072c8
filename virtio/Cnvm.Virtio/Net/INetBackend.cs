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

    /// <summary>Whether the other end is a connection that may be lost and made again; without one it is always there.</summary>
    bool MayDisconnect { get; }

    /// <summary>Whether the other end is there. Any thread.</summary>
    bool IsConnected { get; }

    /// <summary>How often the other end came back. Any thread.</summary>
    ulong Reconnects { get; }

    /// <summary>Told that <see cref="IsConnected"/> has changed, on a thread of the back end's that holds no lock. Must not block.</summary>
    Action? ConnectionChanged { get; set; }

    /// <summary>Descriptors that another process can go on with, one for each queue; none if it has to make an end of its own. They stay the back end's.</summary>
    IReadOnlyList<int> HostDescriptors { get; }

    /// <summary>What epoll watches a queue's <see cref="GetRoomFd"/> for.</summary>
    uint RoomEvents { get; }

    /// <summary>A descriptor that epoll finds readable while frames wait.</summary>
    int GetReadFd(int queue);

    /// <summary>A descriptor for which <see cref="RoomEvents"/> come while frames are taken, and once when none will be because the other end has gone.</summary>
    int GetRoomFd(int queue);

    /// <summary>Reads one frame. Returns bytes with the header, or a negative error number; EAGAIN: none is waiting.</summary>
    nint Read(int queue, IoVec* vectors, int count);

    /// <summary>Writes one frame. Returns bytes, or a negative error number; EAGAIN: no room now.</summary>
    nint Write(int queue, IoVec* vectors, int count);

    /// <summary>Says which unfinished packets the driver takes. False: refused, nothing changed.</summary>
    bool TrySetOffloads(TapOffloads offloads);

    /// <summary>A queue that is not active gets no frames. Called by the thread that reads it.</summary>
    void SetActive(int queue, bool active);
}
