using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Network interfaces.</summary>
[ProtoMessage]
public sealed partial record Interfaces
{
    /// <summary>One after the other.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<Interface> Items { get; init; } = [];
}
