using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Processor time, in nanoseconds.</summary>
[ProtoMessage]
public sealed partial record CpuUsage
{
    /// <summary>All.</summary>
    [ProtoMember(1)]
    public ulong TotalUsage { get; init; }

    /// <summary>By processor.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<ulong> PercpuUsage { get; init; } = [];

    /// <summary>In the kernel.</summary>
    [ProtoMember(3)]
    public ulong UsageInKernelmode { get; init; }

    /// <summary>Outside of it.</summary>
    [ProtoMember(4)]
    public ulong UsageInUsermode { get; init; }
}
