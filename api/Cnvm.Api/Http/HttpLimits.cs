namespace Cnvm.Api.Http;

/// <summary>Bounds of what a client may send.</summary>
internal static class HttpLimits
{
    /// <summary>Connections that are open at the same time.</summary>
    public const int Connections = 10;

    /// <summary>Bytes of a request line or a header line without its end.</summary>
    public const int Line = 1024;

    public const int Headers = 64;

    /// <summary>Bytes of a body.</summary>
    public const int Body = 4 << 20;

    /// <summary>Descriptors of a request; what comes beyond is closed.</summary>
    public const int Descriptors = 253;

    /// <summary>Requests that wait for an event at the same time: the other connections stay free for calls.</summary>
    public const int Waiting = 4;
}
