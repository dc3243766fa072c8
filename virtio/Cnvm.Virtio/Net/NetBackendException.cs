namespace Cnvm.Virtio.Net;

/// <summary>The host's end of a network device cannot be made as configured; the message says why and what to do.</summary>
public sealed class NetBackendException : Exception
{
    public NetBackendException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
