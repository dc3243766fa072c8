using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Who a process is, by numbers in the container.</summary>
[ProtoMessage]
public sealed partial record User
{
    /// <summary>The user.</summary>
    [ProtoMember(1)]
    public uint Uid { get; init; }

    /// <summary>The group.</summary>
    [ProtoMember(2)]
    public uint Gid { get; init; }

    /// <summary>Further groups.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<uint> AdditionalGids { get; init; } = [];

    /// <summary>The name, which only Windows uses.</summary>
    [ProtoMember(4)]
    public string Username { get; init; } = "";
}
