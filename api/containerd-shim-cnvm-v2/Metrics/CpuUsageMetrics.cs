using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Processor time in nanoseconds.</summary>
[ProtoMessage]
internal sealed partial record CpuUsageMetrics
{
    [ProtoMember(1)] public ulong Total { get; init; }

    [ProtoMember(2)] public ulong Kernel { get; init; }

    [ProtoMember(3)] public ulong User { get; init; }

    [ProtoMember(4)] public IReadOnlyList<ulong> PerCpu { get; init; } = [];
}
