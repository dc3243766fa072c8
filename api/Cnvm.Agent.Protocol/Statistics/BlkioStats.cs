using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Disks of a control group; with those of groups below.</summary>
[ProtoMessage]
public sealed partial record BlkioStats
{
    /// <summary>Bytes.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<BlkioStatsEntry> IoServiceBytesRecursive { get; init; } = [];

    /// <summary>Requests.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<BlkioStatsEntry> IoServicedRecursive { get; init; } = [];

    /// <summary>Requests that wait.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<BlkioStatsEntry> IoQueuedRecursive { get; init; } = [];

    /// <summary>Nanoseconds of service.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<BlkioStatsEntry> IoServiceTimeRecursive { get; init; } = [];

    /// <summary>Nanoseconds of waiting.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<BlkioStatsEntry> IoWaitTimeRecursive { get; init; } = [];

    /// <summary>Requests that were merged.</summary>
    [ProtoMember(6)]
    public IReadOnlyList<BlkioStatsEntry> IoMergedRecursive { get; init; } = [];

    /// <summary>Milliseconds of the disk's time.</summary>
    [ProtoMember(7)]
    public IReadOnlyList<BlkioStatsEntry> IoTimeRecursive { get; init; } = [];

    /// <summary>Sectors.</summary>
    [ProtoMember(8)]
    public IReadOnlyList<BlkioStatsEntry> SectorsRecursive { get; init; } = [];
}
