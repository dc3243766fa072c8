using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Cnvm.Bench.Figures;

namespace Cnvm.Bench.Machines;

/// <summary>A connection to cnvm's REST socket. One thread, one request at a time.</summary>
internal sealed class ApiConnection : IDisposable
{
    private const string HeadEnd = "\r\n\r\n";
    private const string Length = "Content-Length: ";
    private readonly byte[] _buffer = new byte[65536];
    private readonly Child _child;
    private readonly Socket _socket;

    /// <param name="limit">Longest time for an answer.</param>
    public ApiConnection(Child child, string path, TimeSpan limit)
    {
        _child = child;
        _socket = ApiStart.Connect(child, path);
        _socket.ReceiveTimeout = (int)limit.TotalMilliseconds;
    }

    /// <summary>A call without a result; returns nanoseconds until the answer.</summary>
    /// <exception cref="MeasurementException">It was refused.</exception>
    public long Put(string call, string body = "")
    {
        long asked = Child.Now;
        (int status, string answer) = Ask("PUT", call, body);
        long took = Child.Now - asked;
        return status == 204 ? took : throw Refused(call, status, answer);
    }

    /// <summary>A call with a result.</summary>
    public (int Status, string Body) Ask(string method, string call, string body = "")
    {
        Send(method, call, body);
        string text = "";
        int end;
        while ((end = text.IndexOf(HeadEnd, StringComparison.Ordinal)) < 0)
        {
            Receive();
        }

        int at = text.IndexOf(Length, 0, end, StringComparison.Ordinal);
        int length = at < 0 ? 0 : int.Parse(text.AsSpan(at + Length.Length, text.IndexOf('\r', at) - at - Length.Length), CultureInfo.InvariantCulture);
        while (text.Length < end + HeadEnd.Length + length)
        {
            Receive();
        }

        // "HTTP/1.1 204 ..."
        return (int.Parse(text.AsSpan(9, 3), CultureInfo.InvariantCulture), text[(end + HeadEnd.Length)..]);

        void Receive()
        {
            int count = ApiStart.Receive(_child, _socket, _buffer);
            text += count > 0 ? Encoding.Latin1.GetString(_buffer, 0, count) : throw _child.Ended("closed its control socket");
        }
    }

    /// <summary>Asks and does not wait for the answer.</summary>
    public void Send(string method, string call, string body) => _socket.Send(Encoding.ASCII.GetBytes(
        $"{method} /api/v1/{call} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));

    public static MeasurementException Refused(string call, int status, string answer) => new($"{call} was answered with {status} '{answer}'");

    public void Dispose() => _socket.Dispose();
}
