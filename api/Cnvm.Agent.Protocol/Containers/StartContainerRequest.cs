using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Runs a container's first process. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record StartContainerRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";
}
