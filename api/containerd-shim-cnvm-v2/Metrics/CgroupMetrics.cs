using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>What a container uses, as hosts without the unified hierarchy of control groups say it (io.containerd.cgroups.v1.Metrics).</summary>
[ProtoMessage]
internal sealed partial record CgroupMetrics
{
    [ProtoMember(2)] public PidsMetrics? Pids { get; init; }

    [ProtoMember(3)] public CpuMetrics? Cpu { get; init; }

    [ProtoMember(4)] public MemoryMetrics? Memory { get; init; }

    [ProtoMember(5)] public BlockIoMetrics? BlockIo { get; init; }

    [ProtoMember(7)] public IReadOnlyList<NetworkMetrics> Network { get; init; } = [];
}
