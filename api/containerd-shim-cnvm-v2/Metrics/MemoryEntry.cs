using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>One account of memory, in bytes.</summary>
[ProtoMessage]
internal sealed partial record MemoryEntry
{
    [ProtoMember(1)] public ulong Limit { get; init; }

    [ProtoMember(2)] public ulong Usage { get; init; }

    [ProtoMember(3)] public ulong Max { get; init; }

    [ProtoMember(4)] public ulong Failures { get; init; }
}
