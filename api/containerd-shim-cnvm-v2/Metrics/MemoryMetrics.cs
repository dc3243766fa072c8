using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Memory in bytes, and faults.</summary>
[ProtoMessage]
internal sealed partial record MemoryMetrics
{
    [ProtoMember(1)] public ulong Cache { get; init; }

    [ProtoMember(2)] public ulong Rss { get; init; }

    [ProtoMember(3)] public ulong RssHuge { get; init; }

    [ProtoMember(4)] public ulong MappedFile { get; init; }

    [ProtoMember(5)] public ulong Dirty { get; init; }

    [ProtoMember(6)] public ulong Writeback { get; init; }

    [ProtoMember(7)] public ulong PagesIn { get; init; }

    [ProtoMember(8)] public ulong PagesOut { get; init; }

    [ProtoMember(9)] public ulong Faults { get; init; }

    [ProtoMember(10)] public ulong MajorFaults { get; init; }

    [ProtoMember(11)] public ulong InactiveAnon { get; init; }

    [ProtoMember(12)] public ulong ActiveAnon { get; init; }

    [ProtoMember(13)] public ulong InactiveFile { get; init; }

    [ProtoMember(14)] public ulong ActiveFile { get; init; }

    [ProtoMember(15)] public ulong Unevictable { get; init; }

    [ProtoMember(16)] public ulong HierarchicalMemoryLimit { get; init; }

    [ProtoMember(17)] public ulong HierarchicalSwapLimit { get; init; }

    [ProtoMember(18)] public ulong TotalCache { get; init; }

    [ProtoMember(19)] public ulong TotalRss { get; init; }

    [ProtoMember(28)] public ulong TotalInactiveAnon { get; init; }

    [ProtoMember(29)] public ulong TotalActiveAnon { get; init; }

    [ProtoMember(30)] public ulong TotalInactiveFile { get; init; }

    [ProtoMember(31)] public ulong TotalActiveFile { get; init; }

    [ProtoMember(33)] public MemoryEntry? Usage { get; init; }

    [ProtoMember(34)] public MemoryEntry? Swap { get; init; }

    [ProtoMember(35)] public MemoryEntry? Kernel { get; init; }

    [ProtoMember(36)] public MemoryEntry? KernelTcp { get; init; }
}
