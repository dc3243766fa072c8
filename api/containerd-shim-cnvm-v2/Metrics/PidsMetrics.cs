using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Processes; a limit of 0 is none.</summary>
[ProtoMessage]
internal sealed partial record PidsMetrics
{
    [ProtoMember(1)] public ulong Current { get; init; }

    [ProtoMember(2)] public ulong Limit { get; init; }
}
