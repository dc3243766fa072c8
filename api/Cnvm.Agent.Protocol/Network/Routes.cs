using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Routes.</summary>
[ProtoMessage]
public sealed partial record Routes
{
    /// <summary>One after the other.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<Route> Items { get; init; } = [];
}
