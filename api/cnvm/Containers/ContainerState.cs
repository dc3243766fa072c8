namespace Cnvm.Cli.Containers;

/// <summary>What others need to know of a container of <c>cnvm run</c>.</summary>
internal sealed record ContainerState
{
    public required string Image { get; init; }

    /// <summary>The program and its arguments.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    public required DateTimeOffset Created { get; init; }

    /// <summary>The process that keeps it.</summary>
    public int Pid { get; init; }

    /// <summary>The sandbox's folder; empty until it runs.</summary>
    public string Sandbox { get; init; } = "";

    /// <summary>The root file system on the host, where users are looked up.</summary>
    public string Rootfs { get; init; } = "";

    /// <summary>Number of the signal that asks the program to end.</summary>
    public int StopSignal { get; init; } = 15;

    /// <summary>What further processes take over.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    public string? WorkingDirectory { get; init; }

    public string? User { get; init; }

    /// <summary>Null while it runs.</summary>
    public int? ExitCode { get; init; }

    public DateTimeOffset? Ended { get; init; }
}
