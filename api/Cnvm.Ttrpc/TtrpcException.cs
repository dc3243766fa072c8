namespace Cnvm.Ttrpc;

/// <summary>A call that did not end well: thrown by the client, and by handlers to answer with this code.</summary>
/// <param name="code">Why.</param>
/// <param name="message">What the other side reads.</param>
public sealed class TtrpcException(TtrpcCode code, string message) : Exception(message)
{
    /// <summary>Why.</summary>
    public TtrpcCode Code { get; } = code;
}
