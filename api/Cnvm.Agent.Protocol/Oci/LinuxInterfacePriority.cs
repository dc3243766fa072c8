using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A priority for an interface's packets.</summary>
[ProtoMessage]
public sealed partial record LinuxInterfacePriority
{
    /// <summary>The interface.</summary>
    [ProtoMember(1)]
    public string Name { get; init; } = "";

    /// <summary>The priority.</summary>
    [ProtoMember(2)]
    public uint Priority { get; init; }
}
