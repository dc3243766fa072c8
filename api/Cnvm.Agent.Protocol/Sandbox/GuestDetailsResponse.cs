using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>What the guest is.</summary>
[ProtoMessage]
public sealed partial record GuestDetailsResponse
{
    /// <summary>Memory is added in blocks of this many bytes; 0 when it was not asked for or cannot be added.</summary>
    [ProtoMember(1)]
    public ulong MemBlockSizeBytes { get; init; }

    /// <summary>The agent.</summary>
    [ProtoMember(2)]
    public AgentDetails? AgentDetails { get; init; }

    /// <summary>Whether memory can be announced by probe.</summary>
    [ProtoMember(3)]
    public bool SupportMemHotplugProbe { get; init; }
}
