using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>How a limit of processor time held a group back.</summary>
[ProtoMessage]
public sealed partial record ThrottlingData
{
    /// <summary>Periods with a limit.</summary>
    [ProtoMember(1)]
    public ulong Periods { get; init; }

    /// <summary>Those in which it was reached.</summary>
    [ProtoMember(2)]
    public ulong ThrottledPeriods { get; init; }

    /// <summary>Nanoseconds that were held back.</summary>
    [ProtoMember(3)]
    public ulong ThrottledTime { get; init; }
}
