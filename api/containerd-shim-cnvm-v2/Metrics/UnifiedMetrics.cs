using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>What a container uses, as hosts with the unified hierarchy of control groups say it (io.containerd.cgroups.v2.Metrics).</summary>
[ProtoMessage]
internal sealed partial record UnifiedMetrics
{
    [ProtoMember(1)] public PidsMetrics? Pids { get; init; }

    [ProtoMember(2)] public UnifiedCpu? Cpu { get; init; }

    [ProtoMember(4)] public UnifiedMemory? Memory { get; init; }

    [ProtoMember(6)] public UnifiedDisks? Disks { get; init; }

    [ProtoMember(8)] public UnifiedMemoryEvents? MemoryEvents { get; init; }

    [ProtoMember(9)] public IReadOnlyList<NetworkMetrics> Network { get; init; } = [];
}
