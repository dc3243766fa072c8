using System.Collections.ObjectModel;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Memory of a control group.</summary>
[ProtoMessage]
public sealed partial record MemoryStats
{
    /// <summary>Bytes that hold contents of files.</summary>
    [ProtoMember(1)]
    public ulong Cache { get; init; }

    /// <summary>Memory.</summary>
    [ProtoMember(2)]
    public MemoryData? Usage { get; init; }

    /// <summary>Memory and swap.</summary>
    [ProtoMember(3)]
    public MemoryData? SwapUsage { get; init; }

    /// <summary>The kernel's for the group.</summary>
    [ProtoMember(4)]
    public MemoryData? KernelUsage { get; init; }

    /// <summary>Whether groups below count.</summary>
    [ProtoMember(5)]
    public bool UseHierarchy { get; init; }

    /// <summary>The lines of memory.stat.</summary>
    [ProtoMember(6)]
    public IReadOnlyDictionary<string, ulong> Stats { get; init; } = ReadOnlyDictionary<string, ulong>.Empty;
}
