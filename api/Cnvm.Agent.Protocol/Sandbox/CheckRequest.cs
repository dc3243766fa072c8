using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Asks a service whether it works (<see cref="HealthCheckResponse"/>), or its version (<see cref="VersionCheckResponse"/>).</summary>
[ProtoMessage]
public sealed partial record CheckRequest
{
    /// <summary>The service; empty for all.</summary>
    [ProtoMember(1)]
    public string Service { get; init; } = "";
}
