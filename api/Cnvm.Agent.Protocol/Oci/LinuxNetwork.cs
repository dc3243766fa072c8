using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Marks for packets.</summary>
[ProtoMessage]
public sealed partial record LinuxNetwork
{
    /// <summary>The class of the container's packets.</summary>
    [ProtoMember(1)]
    public uint ClassId { get; init; }

    /// <summary>Priorities by interface.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<LinuxInterfacePriority> Priorities { get; init; } = [];
}
