namespace Cnvm.Ttrpc;

/// <summary>Bytes that are no message; the text says what was wrong, in which field and where.</summary>
public sealed class ProtoException : Exception
{
    /// <param name="message">What was wrong and where.</param>
    public ProtoException(string message)
        : base(message)
    {
    }

    /// <param name="message">What was wrong and where.</param>
    /// <param name="inner">What this came from.</param>
    public ProtoException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
