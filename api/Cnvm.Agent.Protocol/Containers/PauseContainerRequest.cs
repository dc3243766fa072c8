using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Freezes a container. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record PauseContainerRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";
}
