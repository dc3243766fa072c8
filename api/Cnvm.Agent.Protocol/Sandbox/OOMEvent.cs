using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A container ran out of memory.</summary>
[ProtoMessage]
public sealed partial record OOMEvent
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";
}
