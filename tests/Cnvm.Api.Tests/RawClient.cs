using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Cnvm.Api.Tests;

/// <summary>
/// A client on .NET's own sockets, independent of the code under test: sends bytes as told and reads answers the way ch-remote does:
/// everything up to the carriage return of the first line is a number, the body is found by the literal <c>Content-Length: </c>.
/// </summary>
internal sealed class RawClient : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<byte> _received = [];

    public RawClient(string path)
    {
        _socket.ReceiveTimeout = 20_000;
        _socket.SendTimeout = 20_000;
        _socket.Connect(new UnixDomainSocketEndPoint(path));
    }

    public Socket Socket => _socket;

    public void Send(string text) => Send(Encoding.Latin1.GetBytes(text));

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    public RawAnswer Request(string method, string endpoint, string? body = null)
    {
        string length = body is null ? "" : $"Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\n";
        Send(Encoding.UTF8.GetBytes($"{method} /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{length}\r\n{body}"));
        return Receive();
    }

    public RawAnswer Receive()
    {
        int headEnd;
        while ((headEnd = Encoding.Latin1.GetString([.. _received]).IndexOf("\r\n\r\n", StringComparison.Ordinal)) < 0)
        {
            Fill();
        }

        string head = Encoding.Latin1.GetString([.. _received], 0, headEnd + 4);
        int space = head.IndexOf(' ', StringComparison.Ordinal);
        int lineEnd = head.IndexOf('\r', StringComparison.Ordinal);
        int status = int.Parse(head[space..lineEnd].Trim(), CultureInfo.InvariantCulture);
        int bodyLength = 0;
        const string Name = "Content-Length: ";
        int at = head.IndexOf(Name, StringComparison.Ordinal);
        if (at >= 0)
        {
            at += Name.Length;
            bodyLength = int.Parse(head[at..head.IndexOf('\r', at)], CultureInfo.InvariantCulture);
        }

        while (_received.Count < headEnd + 4 + bodyLength)
        {
            Fill();
        }

        byte[] body = [.. _received.GetRange(headEnd + 4, bodyLength)];
        _received.RemoveRange(0, headEnd + 4 + bodyLength);
        return new RawAnswer(status, head, body);
    }

    /// <summary>Asserts that the server closes the connection without sending anything more.</summary>
    public void ExpectEnd()
    {
        Assert.Empty(_received);
        Assert.True(ReadsEnd(), "the server sent more instead of closing");
    }

    public void Dispose() => _socket.Dispose();

    private bool ReadsEnd()
    {
        try
        {
            return _socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionReset;
        }
    }

    private void Fill()
    {
        byte[] buffer = new byte[65536];
        int count = _socket.Receive(buffer);
        Assert.True(count > 0, $"the server closed the connection after {Encoding.Latin1.GetString([.. _received])}");
        _received.AddRange(buffer.AsSpan(0, count));
    }
}
