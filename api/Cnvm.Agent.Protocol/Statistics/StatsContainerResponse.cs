using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>What a container uses.</summary>
[ProtoMessage]
public sealed partial record StatsContainerResponse
{
    /// <summary>By its control group.</summary>
    [ProtoMember(1)]
    public CgroupStats? CgroupStats { get; init; }

    /// <summary>By the guest's interfaces.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<NetworkStats> NetworkStats { get; init; } = [];
}
