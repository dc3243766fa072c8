using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A mount that one container has and another one sees.</summary>
[ProtoMessage]
public sealed partial record SharedMount
{
    /// <summary>Its name.</summary>
    [ProtoMember(1)]
    public string Name { get; init; } = "";

    /// <summary>The container that has it.</summary>
    [ProtoMember(2)]
    public string SrcCtr { get; init; } = "";

    /// <summary>Its path there.</summary>
    [ProtoMember(3)]
    public string SrcPath { get; init; } = "";

    /// <summary>The container that sees it.</summary>
    [ProtoMember(4)]
    public string DstCtr { get; init; } = "";

    /// <summary>Its path there.</summary>
    [ProtoMember(5)]
    public string DstPath { get; init; } = "";
}
