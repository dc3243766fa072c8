using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Versions.</summary>
[ProtoMessage]
public sealed partial record VersionCheckResponse
{
    /// <summary>Of the protocol.</summary>
    [ProtoMember(1)]
    public string GrpcVersion { get; init; } = "";

    /// <summary>Of the agent.</summary>
    [ProtoMember(2)]
    public string AgentVersion { get; init; } = "";
}
