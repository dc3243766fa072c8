namespace Cnvm.Sandbox;

/// <summary>How a sandbox ended.</summary>
/// <param name="ExitCode">Of its VMM; 128 and the number of the signal that killed it.</param>
/// <param name="Reason">One sentence for people, with what the VMM said last.</param>
/// <param name="IsExpected">It was disposed; otherwise it ended by itself.</param>
public sealed record SandboxEnd(int ExitCode, string Reason, bool IsExpected)
{
    /// <summary>Its VM was moved to another VMM, perhaps of another host, and runs there with its containers.</summary>
    public bool HasMoved { get; init; }
}
