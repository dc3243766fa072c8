using System.Collections.ObjectModel;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>What a container's configuration has for Linux.</summary>
[ProtoMessage]
public sealed partial record OciLinux
{
    /// <summary>Users of its user namespace.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<LinuxIDMapping> UidMappings { get; init; } = [];

    /// <summary>Groups of its user namespace.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<LinuxIDMapping> GidMappings { get; init; } = [];

    /// <summary>Kernel parameters of its namespaces.</summary>
    [ProtoMember(3)]
    public IReadOnlyDictionary<string, string> Sysctl { get; init; } = ReadOnlyDictionary<string, string>.Empty;

    /// <summary>Its limits.</summary>
    [ProtoMember(4)]
    public LinuxResources? Resources { get; init; }

    /// <summary>Its control group; empty for any.</summary>
    [ProtoMember(5)]
    public string CgroupsPath { get; init; } = "";

    /// <summary>Its namespaces.</summary>
    [ProtoMember(6)]
    public IReadOnlyList<LinuxNamespace> Namespaces { get; init; } = [];

    /// <summary>Device nodes beside those that every container has.</summary>
    [ProtoMember(7)]
    public IReadOnlyList<LinuxDevice> Devices { get; init; } = [];

    /// <summary>The filter of its system calls; null for none.</summary>
    [ProtoMember(8)]
    public LinuxSeccomp? Seccomp { get; init; }

    /// <summary><c>shared</c>, <c>slave</c>, <c>private</c> or <c>unbindable</c>.</summary>
    [ProtoMember(9)]
    public string RootfsPropagation { get; init; } = "";

    /// <summary>Paths that it cannot look into.</summary>
    [ProtoMember(10)]
    public IReadOnlyList<string> MaskedPaths { get; init; } = [];

    /// <summary>Paths that it cannot write.</summary>
    [ProtoMember(11)]
    public IReadOnlyList<string> ReadonlyPaths { get; init; } = [];

    /// <summary>SELinux label of its mounts.</summary>
    [ProtoMember(12)]
    public string MountLabel { get; init; } = "";

    /// <summary>Its share of caches; null for all.</summary>
    [ProtoMember(13)]
    public LinuxIntelRdt? IntelRdt { get; init; }
}
