using System.Globalization;
using System.Text;

namespace Cnvm.Api.Http;

/// <summary>An answer as Cloud Hypervisor's clients expect it on the wire.</summary>
/// <remarks>
/// Some of them read everything between the status line's first space and its end as a number: there is no reason phrase, but the space
/// before it stays. They find the body by the literal <c>Content-Length: </c>, and wait for one after a 204 that has it.
/// </remarks>
internal sealed class HttpResponse
{
    private const int NoContent = 204;

    private const string CommonHeaders = "Server: Cloud Hypervisor API\r\nConnection: keep-alive\r\n";

    public HttpResponse(int status, byte[]? body = null, bool endsServer = false)
    {
        Status = status;
        Body = body ?? [];
        EndsServer = endsServer;
    }

    public int Status { get; }

    /// <summary>JSON in ASCII, or nothing; other ASCII text if <see cref="ContentType"/> says so.</summary>
    public byte[] Body { get; }

    public string ContentType { get; init; } = "application/json";

    /// <summary>Once this answer is sent the process is asked to end.</summary>
    public bool EndsServer { get; }

    /// <summary>Answer to a request with <c>Expect: 100-continue</c>, before its body.</summary>
    public static byte[] Continue { get; } = Encoding.ASCII.GetBytes($"HTTP/1.1 100 \r\n{CommonHeaders}\r\n");

    /// <summary>The whole answer to a connection beyond <see cref="HttpLimits.Connections"/>.</summary>
    public static byte[] TooManyConnections { get; } = EncodeRefusal();

    public byte[] Encode()
    {
        string head = Status == NoContent
            ? $"HTTP/1.1 204 \r\n{CommonHeaders}\r\n"
            : string.Create(
                CultureInfo.InvariantCulture,
                $"HTTP/1.1 {Status} \r\n{CommonHeaders}Content-Type: {ContentType}\r\nContent-Length: {Body.Length}\r\n\r\n");
        byte[] bytes = new byte[head.Length + Body.Length];
        Encoding.ASCII.GetBytes(head, bytes);
        Body.CopyTo(bytes, head.Length);
        return bytes;
    }

    private static byte[] EncodeRefusal()
    {
        const string Body = "[\"Too many open connections\"]";
        return Encoding.ASCII.GetBytes(
            $"HTTP/1.1 503\r\nServer: Cloud Hypervisor API\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {Body.Length}\r\n\r\n{Body}");
    }
}
