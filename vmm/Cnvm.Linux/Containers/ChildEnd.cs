namespace Cnvm.Linux;

/// <summary>How a child process ended.</summary>
/// <param name="Id">The process, as this process's PID namespace numbers it.</param>
/// <param name="ExitCode">Its exit code, or 128 and the number of the signal that killed it.</param>
public readonly record struct ChildEnd(int Id, int ExitCode);
