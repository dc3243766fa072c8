using System.Net.Sockets;
using System.Text;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>The host's side of a socket device: a folder for its sockets, servers for guest connections, and clients.</summary>
internal sealed class VsockHost : IDisposable
{
    private const int Timeout = 20_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vsock-").FullName;
    private readonly List<Socket> _sockets = [];

    public string Path => System.IO.Path.Combine(_folder, "v.sock");

    /// <summary>Serves a port of the host that the guest connects to.</summary>
    public Socket Listen(uint port, int backlog = 1100)
    {
        Socket socket = New();
        socket.Bind(new UnixDomainSocketEndPoint($"{Path}_{port}"));
        socket.Listen(backlog);
        return socket;
    }

    public Socket Accept(Socket listener)
    {
        Socket socket = Keep(listener.Accept());
        socket.ReceiveTimeout = Timeout;
        socket.SendTimeout = Timeout;
        return socket;
    }

    /// <summary>A client of the device's socket, which has said what it wants.</summary>
    public Socket Connect(string greeting)
    {
        Socket socket = New();
        socket.Connect(new UnixDomainSocketEndPoint(Path));
        socket.Send(Encoding.ASCII.GetBytes(greeting));
        return socket;
    }

    /// <summary>Reads a line; null at the end.</summary>
    public static string? ReadLine(Socket socket)
    {
        var line = new StringBuilder();
        byte[] one = new byte[1];
        while (socket.Receive(one) == 1)
        {
            if (one[0] == '\n')
            {
                return line.ToString();
            }

            line.Append((char)one[0]);
        }

        return null;
    }

    /// <summary>Reads exactly so many bytes.</summary>
    public static byte[] Read(Socket socket, int count)
    {
        byte[] bytes = new byte[count];
        for (int done = 0; done < count;)
        {
            int got = socket.Receive(bytes, done, count - done, SocketFlags.None);
            Assert.True(got > 0, $"the connection ended after {done} bytes of {count}");
            done += got;
        }

        return bytes;
    }

    /// <summary>True when the other side sends nothing more.</summary>
    public static bool IsAtEnd(Socket socket) => socket.Receive(new byte[1]) == 0;

    /// <summary>True when the other side has closed, whether or not it had read everything.</summary>
    public static bool IsGone(Socket socket)
    {
        try
        {
            return IsAtEnd(socket);
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionReset;
        }
    }

    public void Dispose()
    {
        _sockets.ForEach(s => s.Dispose());
        Directory.Delete(_folder, recursive: true);
    }

    private Socket New()
    {
        var socket = Keep(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified));
        socket.ReceiveTimeout = Timeout;
        socket.SendTimeout = Timeout;
        return socket;
    }

    private Socket Keep(Socket socket)
    {
        _sockets.Add(socket);
        return socket;
    }
}
