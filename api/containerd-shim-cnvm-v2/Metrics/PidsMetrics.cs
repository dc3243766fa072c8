using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Processes. No limit is 0, with the unified hierarchy the largest number.</summary>
[ProtoMessage]
internal sealed partial record PidsMetrics
{
    [ProtoMember(1)] public ulong Current { get; init; }

    [ProtoMember(2)] public ulong Limit { get; init; }
}
