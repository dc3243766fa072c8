using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A network interface of the guest.</summary>
[ProtoMessage]
public sealed partial record Interface
{
    /// <summary>Its name before it is set.</summary>
    [ProtoMember(1)]
    public string Device { get; init; } = "";

    /// <summary>The name that it is to have or has.</summary>
    [ProtoMember(2)]
    public string Name { get; init; } = "";

    /// <summary>Its addresses.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<IPAddress> IpAddresses { get; init; } = [];

    /// <summary>The longest packet in bytes.</summary>
    [ProtoMember(4)]
    public ulong Mtu { get; init; }

    /// <summary>Its Ethernet address, which finds it.</summary>
    [ProtoMember(5)]
    public string HwAddr { get; init; } = "";

    /// <summary>Where on the bus it is; empty for unknown.</summary>
    [ProtoMember(6)]
    public string DevicePath { get; init; } = "";

    /// <summary>What kind of link it is.</summary>
    [ProtoMember(7)]
    public string Type { get; init; } = "";

    /// <summary>The kernel's flags (IFF_*).</summary>
    [ProtoMember(8)]
    public uint RawFlags { get; init; }
}
