using System.Buffers;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>One end of a connection that says anything, in sound messages, and bears it when the other end has gone.</summary>
internal sealed class RawLink : IDisposable
{
    private readonly SocketStream _socket;
    private readonly FrameWriter _writer;
    private readonly FrameReader _reader;

    /// <param name="socket">Owned.</param>
    public RawLink(SocketStream socket)
    {
        _socket = socket;
        _writer = new FrameWriter(socket);
        _reader = new FrameReader(socket);
    }

    /// <summary>The other end is gone, or has said what is none of the protocol's.</summary>
    public bool IsGone { get; private set; }

    /// <summary>The last message that came.</summary>
    public (FrameType Type, byte[] Payload) Heard { get; private set; }

    /// <summary>How long the other end may take to answer.</summary>
    public TimeSpan Patience
    {
        set => _socket.ReadTimeout = (int)value.TotalMilliseconds;
    }

    /// <summary>A connection to a target; it begins as all do.</summary>
    public static RawLink To(string path)
    {
        var link = new RawLink(SocketStream.Connect(Move.Endpoint(path), 10_000, static () => false));
        link.SayMagic();
        return link;
    }

    public void SayMagic() => _writer.WriteMagic();

    public void Say(FrameType type, ReadOnlySpan<byte> payload = default)
    {
        if (IsGone)
        {
            return;
        }

        try
        {
            _writer.Write(type, payload);
        }
        catch (IOException)
        {
            IsGone = true;
        }
    }

    /// <summary>What every connection begins with, in the other direction.</summary>
    public bool HearMagic() => Hear(_reader.ReadMagic);

    /// <summary>Waits for the next message; false if none comes any more.</summary>
    public bool Hear() => Hear(() =>
    {
        Frame frame = _reader.Read();
        Heard = (frame.Type, frame.Payload.ToArray());
    });

    /// <summary>Waits for a message, whatever comes before; false if it does not come.</summary>
    /// <param name="take">Told what comes before.</param>
    public bool HearUntil(FrameType type, Action<FrameType, byte[]>? take = null)
    {
        while (Hear())
        {
            if (Heard.Type == type)
            {
                return true;
            }

            take?.Invoke(Heard.Type, Heard.Payload);
        }

        return false;
    }

    /// <summary>Ends it from another thread.</summary>
    public void Abort() => _socket.Abort();

    public void Dispose() => _socket.Dispose();

    private bool Hear(Action read)
    {
        if (IsGone)
        {
            return false;
        }

        try
        {
            read();
            return true;
        }
        catch (Exception e) when (e is IOException or MigrationException)
        {
            IsGone = true;
            return false;
        }
    }
}
