using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Whether a service works.</summary>
[ProtoMessage]
public sealed partial record HealthCheckResponse
{
    /// <summary>Its state.</summary>
    [ProtoMember(1)]
    public ServingStatus Status { get; init; }
}
