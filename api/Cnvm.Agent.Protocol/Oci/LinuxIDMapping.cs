using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A range of users or groups of a user namespace.</summary>
[ProtoMessage]
public sealed partial record LinuxIDMapping
{
    /// <summary>The first outside.</summary>
    [ProtoMember(1)]
    public uint HostId { get; init; }

    /// <summary>The first inside.</summary>
    [ProtoMember(2)]
    public uint ContainerId { get; init; }

    /// <summary>How many.</summary>
    [ProtoMember(3)]
    public uint Size { get; init; }
}
