namespace Cnvm.Cli;

/// <summary>A command cannot be carried out; the message says why and what to do.</summary>
internal sealed class CliException : Exception
{
    /// <param name="exitCode">One of <see cref="Cli.ExitCode"/>.</param>
    public CliException(int exitCode, string message)
        : base(message) => ExitCode = exitCode;

    public int ExitCode { get; }

    /// <summary>The command line is wrong.</summary>
    public static CliException Usage(string message) => new(Cli.ExitCode.Usage, message);
}
