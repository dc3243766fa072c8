using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Traffic of an interface.</summary>
[ProtoMessage]
internal sealed partial record NetworkMetrics
{
    [ProtoMember(1)] public string Name { get; init; } = "";

    [ProtoMember(2)] public ulong RxBytes { get; init; }

    [ProtoMember(3)] public ulong RxPackets { get; init; }

    [ProtoMember(4)] public ulong RxErrors { get; init; }

    [ProtoMember(5)] public ulong RxDropped { get; init; }

    [ProtoMember(6)] public ulong TxBytes { get; init; }

    [ProtoMember(7)] public ulong TxPackets { get; init; }

    [ProtoMember(8)] public ulong TxErrors { get; init; }

    [ProtoMember(9)] public ulong TxDropped { get; init; }
}
