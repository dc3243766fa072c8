namespace Cnvm.Cli.Tests;

/// <summary>How a run of the program ended.</summary>
internal sealed record CliResult(int ExitCode, string Output, string Error);
