using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Figures of the guest and the agent.</summary>
[ProtoMessage]
public sealed partial record Metrics
{
    /// <summary>In Prometheus' text format.</summary>
    [ProtoMember(1)]
    public string Text { get; init; } = "";
}
