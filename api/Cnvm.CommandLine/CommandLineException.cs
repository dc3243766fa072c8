namespace Cnvm.CommandLine;

/// <summary>The arguments are wrong; the message says which and what would be right.</summary>
internal sealed class CommandLineException : Exception
{
    public CommandLineException(string message)
        : base(message)
    {
    }
}
