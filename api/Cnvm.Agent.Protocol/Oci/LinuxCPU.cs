using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Limits of processor time; 0 or empty for not set.</summary>
[ProtoMessage]
public sealed partial record LinuxCPU
{
    /// <summary>Its weight, 2 to 262144.</summary>
    [ProtoMember(1)]
    public ulong Shares { get; init; }

    /// <summary>Microseconds a period; -1 for no limit.</summary>
    [ProtoMember(2)]
    public long Quota { get; init; }

    /// <summary>Microseconds.</summary>
    [ProtoMember(3)]
    public ulong Period { get; init; }

    /// <summary>Microseconds a period of real-time scheduling.</summary>
    [ProtoMember(4)]
    public long RealtimeRuntime { get; init; }

    /// <summary>Microseconds.</summary>
    [ProtoMember(5)]
    public ulong RealtimePeriod { get; init; }

    /// <summary>Processors, as a list such as <c>0-2,4</c>.</summary>
    [ProtoMember(6)]
    public string Cpus { get; init; } = "";

    /// <summary>NUMA nodes, as such a list.</summary>
    [ProtoMember(7)]
    public string Mems { get; init; } = "";
}
