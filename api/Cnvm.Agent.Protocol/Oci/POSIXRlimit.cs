using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A limit of a process.</summary>
[ProtoMessage]
public sealed partial record POSIXRlimit
{
    /// <summary>Its name, such as <c>RLIMIT_NOFILE</c>.</summary>
    [ProtoMember(1)]
    public string Type { get; init; } = "";

    /// <summary>The hard limit; 2^64 - 1 for none.</summary>
    [ProtoMember(2)]
    public ulong Hard { get; init; }

    /// <summary>The soft limit; 2^64 - 1 for none.</summary>
    [ProtoMember(3)]
    public ulong Soft { get; init; }
}
