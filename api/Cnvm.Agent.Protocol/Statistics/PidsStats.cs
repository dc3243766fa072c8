using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Processes of a control group.</summary>
[ProtoMessage]
public sealed partial record PidsStats
{
    /// <summary>How many.</summary>
    [ProtoMember(1)]
    public ulong Current { get; init; }

    /// <summary>How many are allowed; 0 for any number.</summary>
    [ProtoMember(2)]
    public ulong Limit { get; init; }
}
