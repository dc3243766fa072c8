using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Kills what is left in a container and removes it. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record RemoveContainerRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>Seconds after which it fails; 0 for none.</summary>
    [ProtoMember(2)]
    public uint Timeout { get; init; }
}
