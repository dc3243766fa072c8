using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Processor time of a control group.</summary>
[ProtoMessage]
public sealed partial record CpuStats
{
    /// <summary>How much.</summary>
    [ProtoMember(1)]
    public CpuUsage? CpuUsage { get; init; }

    /// <summary>How much was held back.</summary>
    [ProtoMember(2)]
    public ThrottlingData? ThrottlingData { get; init; }
}
