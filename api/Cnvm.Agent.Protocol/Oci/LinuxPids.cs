using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Limit of processes.</summary>
[ProtoMessage]
public sealed partial record LinuxPids
{
    /// <summary>How many; 0 or less for any number.</summary>
    [ProtoMember(1)]
    public long Limit { get; init; }
}
