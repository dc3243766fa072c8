using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>The group that is to own a volume.</summary>
[ProtoMessage]
public sealed partial record FSGroup
{
    /// <summary>The group.</summary>
    [ProtoMember(2)]
    public uint GroupId { get; init; }

    /// <summary>When its files are changed.</summary>
    [ProtoMember(3)]
    public FSGroupChangePolicy GroupChangePolicy { get; init; }
}
