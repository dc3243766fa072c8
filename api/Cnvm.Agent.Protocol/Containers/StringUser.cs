using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Users by name or number, to be looked up in the container.</summary>
[ProtoMessage]
public sealed partial record StringUser
{
    /// <summary>The user.</summary>
    [ProtoMember(1)]
    public string Uid { get; init; } = "";

    /// <summary>The group.</summary>
    [ProtoMember(2)]
    public string Gid { get; init; } = "";

    /// <summary>Further groups.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<string> AdditionalGids { get; init; } = [];
}
