namespace Cnvm.Nested;

/// <summary>What a command in the nested host left behind.</summary>
/// <param name="ExitCode">As the shell gives it: 128 + n for signal n.</param>
/// <param name="Output">Standard output.</param>
/// <param name="Error">Standard error.</param>
public sealed record CommandResult(int ExitCode, string Output, string Error)
{
    /// <summary>Returns this result when the exit code is 0, else throws with both outputs in the message.</summary>
    /// <exception cref="NestedHostException">The command failed.</exception>
    public CommandResult OrThrow() =>
        ExitCode == 0 ? this : throw new NestedHostException($"the command failed with exit code {ExitCode}\n{Output}\n{Error}");
}
