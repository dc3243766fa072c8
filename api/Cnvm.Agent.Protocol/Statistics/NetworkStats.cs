using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>What went through an interface.</summary>
[ProtoMessage]
public sealed partial record NetworkStats
{
    /// <summary>Its name.</summary>
    [ProtoMember(1)]
    public string Name { get; init; } = "";

    /// <summary>Bytes that came.</summary>
    [ProtoMember(2)]
    public ulong RxBytes { get; init; }

    /// <summary>Packets that came.</summary>
    [ProtoMember(3)]
    public ulong RxPackets { get; init; }

    /// <summary>Errors in those.</summary>
    [ProtoMember(4)]
    public ulong RxErrors { get; init; }

    /// <summary>Packets of those that were dropped.</summary>
    [ProtoMember(5)]
    public ulong RxDropped { get; init; }

    /// <summary>Bytes that went.</summary>
    [ProtoMember(6)]
    public ulong TxBytes { get; init; }

    /// <summary>Packets that went.</summary>
    [ProtoMember(7)]
    public ulong TxPackets { get; init; }

    /// <summary>Errors in those.</summary>
    [ProtoMember(8)]
    public ulong TxErrors { get; init; }

    /// <summary>Packets of those that were dropped.</summary>
    [ProtoMember(9)]
    public ulong TxDropped { get; init; }
}
