using System.Buffers.Binary;
using System.Net.Sockets;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>The program at the other end of a stream of frames: serves a socket as passt does, one connection at a time.</summary>
internal sealed class StreamPeer : IDisposable
{
    private const int Timeout = 20_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-stream-").FullName;
    private Socket? _listener;
    private Socket? _connection;

    public StreamPeer() => Listen();

    public string Path => System.IO.Path.Combine(_folder, "net.sock");

    public Socket Connection => _connection!;

    /// <summary>Serves the socket, anew if it did before.</summary>
    public void Listen()
    {
        File.Delete(Path);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(Path));
        _listener.Listen(4);
    }

    /// <summary>Takes the next connection; the one before is closed.</summary>
    public void Accept()
    {
        _connection?.Dispose();
        Assert.True(_listener!.Poll(Timeout * 1000, SelectMode.SelectRead), "nobody has connected");
        _connection = _listener.Accept();
        _connection.ReceiveTimeout = Timeout;
        _connection.SendTimeout = Timeout;
    }

    /// <summary>Ends: nobody serves the socket any more.</summary>
    public void Leave()
    {
        _listener?.Dispose();
        _connection?.Dispose();
    }

    public void Send(params ReadOnlySpan<byte> bytes) => Assert.Equal(bytes.Length, Connection.Send(bytes));

    public static byte[] Packed(byte[] frame)
    {
        byte[] bytes = [0, 0, 0, 0, .. frame];
        BinaryPrimitives.WriteInt32BigEndian(bytes, frame.Length);
        return bytes;
    }

    public byte[] Receive()
    {
        byte[] frame = new byte[BinaryPrimitives.ReadInt32BigEndian(Read(4))];
        Fill(frame);
        return frame;
    }

    /// <summary>Whether the other side has closed the connection, now or soon.</summary>
    public bool IsClosed()
    {
        try
        {
            return Connection.Poll(Timeout * 1000, SelectMode.SelectRead) && Connection.Receive(new byte[1], SocketFlags.Peek) == 0;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // It was closed with bytes unread (unix(7)).
            return true;
        }
    }

    public void Dispose()
    {
        Leave();
        Directory.Delete(_folder, recursive: true);
    }

    private byte[] Read(int count)
    {
        byte[] bytes = new byte[count];
        Fill(bytes);
        return bytes;
    }

    private void Fill(Span<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int got = Connection.Receive(bytes);
            Assert.True(got > 0, "the stream has ended");
            bytes = bytes[got..];
        }
    }
}
