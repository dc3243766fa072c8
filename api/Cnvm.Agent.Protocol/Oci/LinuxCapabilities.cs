using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Sets of capabilities, each with names such as <c>CAP_CHOWN</c>.</summary>
[ProtoMessage]
public sealed partial record LinuxCapabilities
{
    /// <summary>Those that programs can gain.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<string> Bounding { get; init; } = [];

    /// <summary>Those that are in force.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<string> Effective { get; init; } = [];

    /// <summary>Those that programs may keep.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<string> Inheritable { get; init; } = [];

    /// <summary>Those that can be in force.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<string> Permitted { get; init; } = [];

    /// <summary>Those that programs keep.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<string> Ambient { get; init; } = [];
}
