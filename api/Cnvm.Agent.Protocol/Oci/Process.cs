using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A process of a container.</summary>
[ProtoMessage]
public sealed partial record Process
{
    /// <summary>Whether it gets a terminal.</summary>
    [ProtoMember(1)]
    public bool Terminal { get; init; }

    /// <summary>The terminal's size; null for unknown.</summary>
    [ProtoMember(2)]
    public Box? ConsoleSize { get; init; }

    /// <summary>Who it is.</summary>
    [ProtoMember(3)]
    public User? User { get; init; }

    /// <summary>The program and its arguments.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<string> Args { get; init; } = [];

    /// <summary>Its environment, each <c>KEY=value</c>.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<string> Env { get; init; } = [];

    /// <summary>Its folder, absolute in the container.</summary>
    [ProtoMember(6)]
    public string Cwd { get; init; } = "";

    /// <summary>Its capabilities; null for none.</summary>
    [ProtoMember(7)]
    public LinuxCapabilities? Capabilities { get; init; }

    /// <summary>Its limits.</summary>
    [ProtoMember(8)]
    public IReadOnlyList<POSIXRlimit> Rlimits { get; init; } = [];

    /// <summary>Whether programs that it runs can gain none.</summary>
    [ProtoMember(9)]
    public bool NoNewPrivileges { get; init; }

    /// <summary>Its AppArmor profile.</summary>
    [ProtoMember(10)]
    public string ApparmorProfile { get; init; } = "";

    /// <summary>Its <c>oom_score_adj</c>, -1000 to 1000.</summary>
    [ProtoMember(11)]
    public long OomScoreAdj { get; init; }

    /// <summary>Its SELinux label.</summary>
    [ProtoMember(12)]
    public string SelinuxLabel { get; init; } = "";
}
