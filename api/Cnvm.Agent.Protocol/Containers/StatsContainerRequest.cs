using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Asks what a container uses, answered by <see cref="StatsContainerResponse"/>.</summary>
[ProtoMessage]
public sealed partial record StatsContainerRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";
}
