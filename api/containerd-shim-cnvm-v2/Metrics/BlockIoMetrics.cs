using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Traffic with disks.</summary>
[ProtoMessage]
internal sealed partial record BlockIoMetrics
{
    [ProtoMember(1)] public IReadOnlyList<BlockIoEntry> ServiceBytes { get; init; } = [];

    [ProtoMember(2)] public IReadOnlyList<BlockIoEntry> Serviced { get; init; } = [];

    [ProtoMember(3)] public IReadOnlyList<BlockIoEntry> Queued { get; init; } = [];

    [ProtoMember(4)] public IReadOnlyList<BlockIoEntry> ServiceTime { get; init; } = [];

    [ProtoMember(5)] public IReadOnlyList<BlockIoEntry> WaitTime { get; init; } = [];

    [ProtoMember(6)] public IReadOnlyList<BlockIoEntry> Merged { get; init; } = [];

    [ProtoMember(7)] public IReadOnlyList<BlockIoEntry> Time { get; init; } = [];

    [ProtoMember(8)] public IReadOnlyList<BlockIoEntry> Sectors { get; init; } = [];
}
