namespace Cnvm.Sandbox;

/// <summary>A sandbox, a container or an image cannot do what was asked; the message says what was wrong, where, and what to do.</summary>
public class SandboxException : IOException
{
    /// <param name="kind">What a program can tell failures apart by.</param>
    /// <param name="message">For people.</param>
    /// <param name="inner">What lies beneath; null for none.</param>
    public SandboxException(SandboxErrorKind kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    /// <summary>What a program can tell failures apart by.</summary>
    public SandboxErrorKind Kind { get; }
}
