using System.Buffers.Binary;
using System.Collections.Concurrent;
using Cnvm.Linux;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>
/// A vhost-user back end with a small block device, written from the protocol's text, that can be told to misbehave. It serves one
/// connection at a time on a thread of its own.
/// </summary>
internal sealed class VhostUserPeer : IDisposable
{
    public const ulong AllFeatures = (1UL << 32) | (1UL << 30) | (1UL << 26) | (1UL << 9) | (1UL << 2);
    public const ulong AllProtocolFeatures = 0xb | (1 << 9) | (1 << 12) | (1 << 15);
    private readonly Thread _thread;
    private readonly EventFd _stop = new();
    private readonly UnixListener? _listener;
    private readonly string _path;
    private readonly VhostUserPeerRings _rings;
    private UnixStream? _stream;
    private bool _isDisposed;

    /// <param name="connects">It connects to the path rather than serving it.</param>
    public VhostUserPeer(string path, byte[] disk, bool connects = false)
    {
        _path = path;
        _rings = new VhostUserPeerRings(disk);
        Configuration = new byte[60];
        BinaryPrimitives.WriteInt64LittleEndian(Configuration, disk.Length / 512);
        _listener = connects ? null : UnixListener.Bind(path, 4);
        _thread = new Thread(Run) { IsBackground = true };
    }

    public ulong Features { get; init; } = AllFeatures;

    public ulong ProtocolFeatures { get; init; } = AllProtocolFeatures;

    public ulong Queues { get; init; } = 2;

    public byte[] Configuration { get; }

    /// <summary>Requests that came, in order.</summary>
    public ConcurrentQueue<uint> Requests { get; } = new();

    /// <summary>It is no disk: what comes on an odd ring goes back on the one before it.</summary>
    public bool Loops
    {
        init => _rings.Loops = value;
    }

    public VhostUserPeerRings Rings => _rings;

    /// <summary>
    /// Given a request, may answer it in another way: the whole message with its header, whatever that is; empty: not at all. Null: as is
    /// right.
    /// </summary>
    public Func<uint, byte[]?>? Misbehave { get; init; }

    /// <summary>Ends the connection at this request.</summary>
    public uint HangUpAt { get; init; }

    /// <summary>A descriptor that goes along with every answer.</summary>
    public int? Extra { get; init; }

    public VhostUserPeer Start()
    {
        _thread.Start();
        return this;
    }

    /// <summary>Says something that nobody has asked for.</summary>
    public void Speak() => _stream!.Send(Message(1, 8, new byte[8]));

    public static byte[] Message(uint request, uint payloadBytes, byte[] payload, uint flags = 5)
    {
        byte[] message = new byte[12 + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, request);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), payloadBytes);
        payload.CopyTo(message, 12);
        return message;
    }

    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _stop.Signal();
        _thread.Join();
        _stream?.Dispose();
        _rings.Dispose();
        _listener?.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        while (Open() is { } stream)
        {
            _stream = stream;
            _rings.Forget();
            while (Wait(stream.Fd) && Serve(stream))
            {
            }

            stream.Dispose();
            if (_listener is null)
            {
                return;
            }
        }
    }

    private UnixStream? Open()
    {
        if (_listener is null)
        {
            return UnixStream.Connect(_path);
        }

        return Wait(_listener.Fd) ? _listener.Accept() : null;
    }

    /// <summary>Serves rings until there is a message; false at the end.</summary>
    private bool Wait(int fd)
    {
        while (true)
        {
            PollEntry[] entries =
            [
                new() { Fd = _stop.Fd, Events = PollEntry.In }, new() { Fd = fd, Events = PollEntry.In },
                .. _rings.Kicks.Select(k => new PollEntry { Fd = k, Events = PollEntry.In }),
            ];
            Poll.Wait(entries, -1);
            if (entries[0].Returned != 0)
            {
                return false;
            }

            if (entries[1].Returned != 0)
            {
                return true;
            }

            _rings.Serve();
        }
    }

    private bool Serve(UnixStream stream)
    {
        List<FileDescriptor> files = [];
        byte[] header = new byte[12];
        if (!Fill(stream, header, files))
        {
            return false;
        }

        uint request = BinaryPrimitives.ReadUInt32LittleEndian(header);
        byte[] payload = new byte[BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8))];
        if (!Fill(stream, payload, files))
        {
            return false;
        }

        Requests.Enqueue(request);
        if (request == HangUpAt)
        {
            return false;
        }

        bool wantsAck = (BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)) & 8) != 0;
        int? file = null;
        byte[]? answer = Answer(request, payload, files, ref file) ?? (wantsAck ? new byte[8] : null);
        if (Misbehave?.Invoke(request) is { } other)
        {
            return other.Length == 0 || stream.Send(other) == other.Length;
        }

        if (answer is not null)
        {
            int[] along = [.. new[] { file, Extra }.OfType<int>()];
            stream.Send(Message(request, (uint)answer.Length, answer), along);
        }

        return true;
    }

    private byte[]? Answer(uint request, byte[] payload, List<FileDescriptor> files, ref int? file)
    {
        switch (request)
        {
            case 1:
                return BitConverter.GetBytes(Features);
            case 15:
                return BitConverter.GetBytes(ProtocolFeatures);
            case 17:
                return BitConverter.GetBytes(Queues);
            case 36:
                return BitConverter.GetBytes(64UL);
            case 24:
                Configuration.AsSpan(0, payload.Length - 12).CopyTo(payload.AsSpan(12));
                return payload;
            case 25:
                payload.AsSpan(12).CopyTo(Configuration.AsSpan(BinaryPrimitives.ReadInt32LittleEndian(payload)));
                return null;
            default:
                return _rings.Take(request, payload, files, ref file);
        }
    }

    private static bool Fill(UnixStream stream, Span<byte> bytes, List<FileDescriptor> files)
    {
        while (!bytes.IsEmpty)
        {
            int got = stream.Receive(bytes, files);
            if (got == UnixStream.WouldBlock)
            {
                PollEntry[] entry = [new() { Fd = stream.Fd, Events = PollEntry.In }];
                Poll.Wait(entry, 1000);
                continue;
            }

            if (got == 0)
            {
                return false;
            }

            bytes = bytes[got..];
        }

        return true;
    }
}
