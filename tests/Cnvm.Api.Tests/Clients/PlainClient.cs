using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Cnvm.Api.Tests.Clients;

/// <summary>
/// A client on plain sockets and sendmsg(2) that shares nothing with the code under test. Sends pieces as it is told, descriptors with the
/// first byte of one; reads 256 bytes at a time, each of which has to be UTF-8 in itself, as ch-remote does.
/// </summary>
internal sealed unsafe partial class PlainClient : IDisposable
{
    private const int SOL_SOCKET = 1;
    private const int SCM_RIGHTS = 1;
    private const int ChunkBytes = 256;
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly UTF8Encoding _strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public PlainClient(string path)
    {
        _socket.ReceiveTimeout = 20_000;
        _socket.Connect(new UnixDomainSocketEndPoint(path));
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>As ch-remote: the first lines with the descriptors, then the length, the empty line and the body, each in a write of its own.</summary>
    public (int Status, string Body) ChRemote(string method, string command, string? body = null, params int[] fds)
    {
        Send($"{method} /api/v1/{command} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n", fds);
        if (body is not null)
        {
            Send($"Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\n");
        }

        Send("\r\n");
        if (body is not null)
        {
            Send(body);
        }

        return Receive();
    }

    /// <summary>As Go's net/http with what Kata's generated client adds: all in one message.</summary>
    public (int Status, string Body) Go(string method, string command, string? body = null, params int[] fds)
    {
        string head = $"{method} /api/v1/{command} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: OpenAPI-Generator/1.0.0/go\r\n";
        head += body is null ? "" : $"Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\n";
        head += method == "PUT" && body is null ? "Content-Length: 0\r\n" : "";
        head += "Accept: application/json\r\n" + (body is null ? "" : "Content-Type: application/json\r\n") + "Accept-Encoding: gzip\r\n\r\n";
        Send(head + body, fds);
        return Receive();
    }

    public void Send(string text, params int[] fds)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* data = bytes)
        {
            // SAFETY: sizes and pointers below describe pinned or local memory of this call.
            byte* control = stackalloc byte[1024];
            int length = 16 + (fds.Length * sizeof(int));
            var vector = new IoVector { Start = data, Length = (nuint)bytes.Length };
            var message = new Message { Vectors = &vector, VectorCount = 1 };
            if (fds.Length > 0)
            {
                *(nuint*)control = (nuint)length;
                ((int*)control)[2] = SOL_SOCKET;
                ((int*)control)[3] = SCM_RIGHTS;
                fds.CopyTo(new Span<int>(control + 16, fds.Length));
                message.Control = control;
                message.ControlLength = (nuint)((length + 7) & ~7);
            }

            Assert.Equal(bytes.Length, sendmsg((int)_socket.Handle, &message, 0));
        }
    }

    public (int Status, string Body) Receive()
    {
        string text = "";
        int bodyStart = -1;
        int? bodyLength = null;
        byte[] chunk = new byte[ChunkBytes];
        while (bodyStart < 0 || (bodyLength is { } wanted && text.Length < bodyStart + wanted))
        {
            int count = _socket.Receive(chunk);
            Assert.True(count > 0, $"the connection ended after '{text}'");
            text += _strict.GetString(chunk, 0, count);
            int end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (bodyStart < 0 && end >= 0)
            {
                bodyStart = end + 4;
                const string Name = "Content-Length: ";
                int at = text.IndexOf(Name, 0, bodyStart, StringComparison.Ordinal);
                bodyLength = at < 0 ? null : int.Parse(text.AsSpan(at + Name.Length, text.IndexOf('\r', at) - at - Name.Length), CultureInfo.InvariantCulture);
            }
        }

        const string Protocol = "HTTP/1.1 ";
        Assert.StartsWith(Protocol, text, StringComparison.Ordinal);
        int status = int.Parse(text[Protocol.Length..text.IndexOf('\r', StringComparison.Ordinal)].Trim(), CultureInfo.InvariantCulture);
        Assert.Equal(bodyLength ?? 0, text.Length - bodyStart);
        return (status, text[bodyStart..]);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendmsg(int socket, Message* message, int flags);

    [StructLayout(LayoutKind.Sequential)]
    private struct IoVector
    {
        public byte* Start;
        public nuint Length;
    }

    /// <summary>struct msghdr of sendmsg(2) on x86-64.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
