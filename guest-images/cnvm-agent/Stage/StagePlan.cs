namespace Cnvm.GuestAgent.Stage;

/// <summary>
/// What a stage, the process that becomes a container's, has to do: resolved and checked by the agent, so that the stage only does it.
/// </summary>
internal sealed record StagePlan
{
    /// <summary>The root file system in the sandbox; null for a further process of a container, whose root is there already.</summary>
    public string? RootPath { get; init; }

    public bool IsRootReadOnly { get; init; }

    /// <summary>MS_ flags that the finished root gets; 0 leaves it private.</summary>
    public ulong RootPropagation { get; init; }

    /// <summary>In order.</summary>
    public IReadOnlyList<PlannedMount> Mounts { get; init; } = [];

    public IReadOnlyList<PlannedDevice> Devices { get; init; } = [];

    public IReadOnlyList<string> MaskedPaths { get; init; } = [];

    public IReadOnlyList<string> ReadOnlyPaths { get; init; } = [];

    /// <summary>Path below /proc/sys, and value.</summary>
    public IReadOnlyList<(string Path, string Value)> Sysctls { get; init; } = [];

    /// <summary>Empty leaves the sandbox's.</summary>
    public string HostName { get; init; } = "";

    /// <summary>The process has a terminal of the container's.</summary>
    public bool HasTerminal { get; init; }

    public ushort TerminalRows { get; init; }

    public ushort TerminalColumns { get; init; }

    public IReadOnlyList<string> Arguments { get; init; } = [];

    public IReadOnlyList<string> Environment { get; init; } = [];

    public string WorkingDirectory { get; init; } = "/";

    public uint UserId { get; init; }

    public uint GroupId { get; init; }

    public IReadOnlyList<uint> AdditionalGroups { get; init; } = [];

    /// <summary>Looked up in the container's /etc/passwd and /etc/group; empty: the numbers count.</summary>
    public string UserName { get; init; } = "";

    public CapabilitySets Capabilities { get; init; } = new(0, 0, 0, 0, 0);

    public bool NoNewPrivileges { get; init; }

    /// <summary>RLIMIT_ number, soft and hard limit.</summary>
    public IReadOnlyList<(int Resource, ulong Soft, ulong Hard)> Limits { get; init; } = [];

    /// <summary>Null leaves the agent's.</summary>
    public int? OomScoreAdjustment { get; init; }

    /// <summary>Classic BPF, as the kernel takes it; empty for none.</summary>
    public IReadOnlyList<Linux.sock_filter> SeccompFilter { get; init; } = [];

    /// <summary>SECCOMP_FILTER_FLAG bits.</summary>
    public uint SeccompFlags { get; init; }
}
