using System.Collections.ObjectModel;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>What a control group uses.</summary>
[ProtoMessage]
public sealed partial record CgroupStats
{
    /// <summary>Processor time.</summary>
    [ProtoMember(1)]
    public CpuStats? CpuStats { get; init; }

    /// <summary>Memory.</summary>
    [ProtoMember(2)]
    public MemoryStats? MemoryStats { get; init; }

    /// <summary>Processes.</summary>
    [ProtoMember(3)]
    public PidsStats? PidsStats { get; init; }

    /// <summary>Disks.</summary>
    [ProtoMember(4)]
    public BlkioStats? BlkioStats { get; init; }

    /// <summary>Huge pages, by their size.</summary>
    [ProtoMember(5)]
    public IReadOnlyDictionary<string, HugetlbStats> HugetlbStats { get; init; } = ReadOnlyDictionary<string, HugetlbStats>.Empty;
}
