using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Neighbours.</summary>
[ProtoMessage]
public sealed partial record ARPNeighbors
{
    /// <summary>One after the other.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<ARPNeighbor> Items { get; init; } = [];
}
