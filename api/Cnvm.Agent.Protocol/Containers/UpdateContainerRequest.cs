using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Changes a container's limits. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record UpdateContainerRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The limits; those left out stay.</summary>
    [ProtoMember(2)]
    public LinuxResources? Resources { get; init; }
}
