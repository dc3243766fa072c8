namespace Cnvm.Api.Http;

/// <summary>What a client sent is not a request that this server takes; the connection cannot go on.</summary>
internal sealed class HttpFormatException : Exception
{
    public HttpFormatException(string message)
        : base(message)
    {
    }
}
