using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>How often a limit has stopped a container; the time in nanoseconds.</summary>
[ProtoMessage]
internal sealed partial record ThrottleMetrics
{
    [ProtoMember(1)] public ulong Periods { get; init; }

    [ProtoMember(2)] public ulong ThrottledPeriods { get; init; }

    [ProtoMember(3)] public ulong ThrottledTime { get; init; }
}
