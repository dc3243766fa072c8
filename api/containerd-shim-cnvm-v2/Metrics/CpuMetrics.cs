using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Processor time.</summary>
[ProtoMessage]
internal sealed partial record CpuMetrics
{
    [ProtoMember(1)] public CpuUsageMetrics? Usage { get; init; }

    [ProtoMember(2)] public ThrottleMetrics? Throttling { get; init; }
}
