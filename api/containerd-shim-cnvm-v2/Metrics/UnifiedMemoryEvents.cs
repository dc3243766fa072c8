using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>How often memory was reclaimed below the low mark, above the high one, at the limit, and how often that did not help.</summary>
[ProtoMessage]
internal sealed partial record UnifiedMemoryEvents
{
    [ProtoMember(1)] public ulong Low { get; init; }

    [ProtoMember(2)] public ulong High { get; init; }

    [ProtoMember(3)] public ulong Max { get; init; }

    [ProtoMember(4)] public ulong OutOfMemory { get; init; }

    [ProtoMember(5)] public ulong Kills { get; init; }
}
