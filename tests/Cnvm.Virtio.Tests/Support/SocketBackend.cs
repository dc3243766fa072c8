using System.Net.Sockets;
using Cnvm.Linux;
using Cnvm.Virtio.Net;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Frames over Unix datagram sockets: epoll, EAGAIN and all, without a network.</summary>
internal sealed unsafe class SocketBackend : INetBackend
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cnvm-net").FullName;
    private readonly Socket[] _near;

    public SocketBackend(int queues)
    {
        _near = new Socket[queues];
        Far = new Socket[queues];
        Active = new bool[queues];
        for (int i = 0; i < queues; i++)
        {
            _near[i] = Make($"near{i}");
            Far[i] = Make($"far{i}");
            _near[i].Connect(new UnixDomainSocketEndPoint($"{_directory}/far{i}"));
            Far[i].Connect(new UnixDomainSocketEndPoint($"{_directory}/near{i}"));
            _near[i].Blocking = false;
            Far[i].ReceiveTimeout = 10_000;
        }
    }

    /// <summary>The network's side of each queue.</summary>
    public Socket[] Far { get; }

    public bool[] Active { get; }

    public TapOffloads Offloads { get; private set; }

    public int QueueCount => _near.Length;

    public TapOffloads SupportedOffloads => TapOffloads.Checksum | TapOffloads.Tso4 | TapOffloads.Tso6 | TapOffloads.TsoEcn | TapOffloads.Ufo;

    public bool MayDisconnect => false;

    public bool IsConnected => true;

    public ulong Reconnects => 0;

    public Action? ConnectionChanged { get; set; }

    public IReadOnlyList<int> HostDescriptors => [];

    public uint RoomEvents => Libc.EPOLLOUT;

    public int GetReadFd(int queue) => (int)_near[queue].SafeHandle.DangerousGetHandle();

    public int GetRoomFd(int queue) => GetReadFd(queue);

    public nint Read(int queue, IoVec* vectors, int count)
    {
        byte[] frame = new byte[70_000];
        int got = _near[queue].Receive(frame, SocketFlags.None, out SocketError error);
        if (error != SocketError.Success)
        {
            return error == SocketError.WouldBlock ? -Errno.EAGAIN : -Errno.EBADF;
        }

        int done = 0;
        for (int i = 0; i < count && done < got; i++)
        {
            int part = Math.Min((int)vectors[i].Length, got - done);
            frame.AsSpan(done, part).CopyTo(new Span<byte>((void*)vectors[i].Base, part));
            done += part;
        }

        return done;
    }

    public nint Write(int queue, IoVec* vectors, int count)
    {
        List<byte> frame = [];
        for (int i = 0; i < count; i++)
        {
            frame.AddRange(new ReadOnlySpan<byte>((void*)vectors[i].Base, (int)vectors[i].Length).ToArray());
        }

        int sent = _near[queue].Send(frame.ToArray(), SocketFlags.None, out SocketError error);
        return error == SocketError.Success ? sent : -Errno.EAGAIN;
    }

    public bool TrySetOffloads(TapOffloads offloads)
    {
        Offloads = offloads;
        return true;
    }

    public void SetActive(int queue, bool active) => Volatile.Write(ref Active[queue], active);

    public void Dispose()
    {
        foreach (Socket socket in _near.Concat(Far))
        {
            socket.Dispose();
        }

        Directory.Delete(_directory, recursive: true);
    }

    private Socket Make(string name)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint($"{_directory}/{name}"));
        return socket;
    }
}
