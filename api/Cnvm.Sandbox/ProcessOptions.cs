namespace Cnvm.Sandbox;

/// <summary>A further process of a container.</summary>
/// <param name="Arguments">The program and its arguments.</param>
public sealed record ProcessOptions(IReadOnlyList<string> Arguments)
{
    /// <summary>Variables as NAME=VALUE, besides those of the container's first process, which they replace.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>Absolute path in the container; null for that of the first process.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>User, or user:group, by number or by a name of the container's; null for that of the first process.</summary>
    public string? User { get; init; }

    /// <summary>It has a terminal: everything that it says comes from <see cref="SandboxProcess.StandardOutput"/>.</summary>
    public bool Terminal { get; init; }
}
