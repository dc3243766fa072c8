using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>An entry of the table of neighbours.</summary>
[ProtoMessage]
public sealed partial record ARPNeighbor
{
    /// <summary>The neighbour's address.</summary>
    [ProtoMember(1)]
    public IPAddress? ToIpAddress { get; init; }

    /// <summary>The interface's name.</summary>
    [ProtoMember(2)]
    public string Device { get; init; } = "";

    /// <summary>The neighbour's Ethernet address.</summary>
    [ProtoMember(3)]
    public string Lladdr { get; init; } = "";

    /// <summary>The kernel's state (NUD_*).</summary>
    [ProtoMember(4)]
    public int State { get; init; }

    /// <summary>The kernel's flags (NTF_*).</summary>
    [ProtoMember(5)]
    public int Flags { get; init; }
}
