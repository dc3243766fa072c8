namespace Cnvm.Nested;

/// <summary>The nested host did not start, died, or refused something. The message ends with the tail of its console.</summary>
public sealed class NestedHostException : Exception
{
    /// <summary>Creates the exception.</summary>
    public NestedHostException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with its cause.</summary>
    public NestedHostException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
