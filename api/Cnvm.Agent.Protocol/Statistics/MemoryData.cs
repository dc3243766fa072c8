using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Memory of one kind, in bytes.</summary>
[ProtoMessage]
public sealed partial record MemoryData
{
    /// <summary>How much.</summary>
    [ProtoMember(1)]
    public ulong Usage { get; init; }

    /// <summary>The most there was.</summary>
    [ProtoMember(2)]
    public ulong MaxUsage { get; init; }

    /// <summary>How often the limit was reached.</summary>
    [ProtoMember(3)]
    public ulong Failcnt { get; init; }

    /// <summary>The limit.</summary>
    [ProtoMember(4)]
    public ulong Limit { get; init; }
}
