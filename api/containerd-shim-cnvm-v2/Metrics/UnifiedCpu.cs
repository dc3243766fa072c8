using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Processor time in microseconds, and how often a limit has stopped a container.</summary>
[ProtoMessage]
internal sealed partial record UnifiedCpu
{
    [ProtoMember(1)] public ulong Usage { get; init; }

    [ProtoMember(2)] public ulong User { get; init; }

    [ProtoMember(3)] public ulong System { get; init; }

    [ProtoMember(4)] public ulong Periods { get; init; }

    [ProtoMember(5)] public ulong ThrottledPeriods { get; init; }

    [ProtoMember(6)] public ulong ThrottledTime { get; init; }
}
