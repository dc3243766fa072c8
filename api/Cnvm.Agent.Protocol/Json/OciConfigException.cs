namespace Cnvm.Agent.Protocol;

/// <summary>JSON that is no OCI configuration; the text begins with the path of what is wrong, such as <c>process.args[1]</c>.</summary>
public sealed class OciConfigException : Exception
{
    /// <param name="message">The path and what is wrong there.</param>
    public OciConfigException(string message)
        : base(message)
    {
    }

    /// <param name="message">The path and what is wrong there.</param>
    /// <param name="inner">What this came from.</param>
    public OciConfigException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
