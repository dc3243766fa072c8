using System.Collections.ObjectModel;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A container's configuration: what the OCI runtime specification has in config.json.</summary>
[ProtoMessage]
public sealed partial record Spec
{
    /// <summary><c>ociVersion</c>.</summary>
    [ProtoMember(1)]
    public string Version { get; init; } = "";

    /// <summary>The first process.</summary>
    [ProtoMember(2)]
    public Process? Process { get; init; }

    /// <summary>Its root folder.</summary>
    [ProtoMember(3)]
    public Root? Root { get; init; }

    /// <summary>The name of its UTS namespace.</summary>
    [ProtoMember(4)]
    public string Hostname { get; init; } = "";

    /// <summary>What else is mounted, in order.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<Mount> Mounts { get; init; } = [];

    /// <summary>Programs to run at its events.</summary>
    [ProtoMember(6)]
    public Hooks? Hooks { get; init; }

    /// <summary>What others noted.</summary>
    [ProtoMember(7)]
    public IReadOnlyDictionary<string, string> Annotations { get; init; } = ReadOnlyDictionary<string, string>.Empty;

    /// <summary>What only Linux has.</summary>
    [ProtoMember(8)]
    public OciLinux? Linux { get; init; }
}
