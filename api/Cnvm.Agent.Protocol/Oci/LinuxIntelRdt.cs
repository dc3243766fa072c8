using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A share of caches.</summary>
[ProtoMessage]
public sealed partial record LinuxIntelRdt
{
    /// <summary>What goes into the schemata file.</summary>
    [ProtoMember(1)]
    public string L3CacheSchema { get; init; } = "";
}
