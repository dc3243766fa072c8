using System.Net;

namespace Cnvm.Linux;

/// <summary>A route of the main table.</summary>
/// <param name="Link">Number of the interface; 0: none is named.</param>
/// <param name="Destination">Null: everywhere.</param>
/// <param name="Prefix">Length of the destination's network in bits.</param>
/// <param name="Gateway">Null: the destination is on the interface's own network.</param>
/// <param name="Source">Address that packets get; null: the kernel's choice.</param>
public sealed record NetworkRoute(int Link, IPAddress? Destination, byte Prefix, IPAddress? Gateway, IPAddress? Source)
{
    /// <summary>Of IPv6.</summary>
    public bool IsIPv6 { get; init; }

    /// <summary>RT_SCOPE_ number.</summary>
    public byte Scope { get; init; }

    /// <summary>RTN_ number; 1 is a route to one host or network.</summary>
    public byte Type { get; init; }

    /// <summary>RTPROT_ number: who has made it.</summary>
    public byte Origin { get; init; }

    /// <summary>RTNH_F_ bits.</summary>
    public uint Flags { get; init; }

    /// <summary>Of several routes to a destination the one with the smallest is taken.</summary>
    public uint Metric { get; init; }

    /// <summary>It has several next hops, or one of another protocol, which are not in this record.</summary>
    public bool HasOtherHops { get; init; }

    /// <summary>Destination and prefix as people write it.</summary>
    public override string ToString() => Destination is null ? "default" : $"{Destination}/{Prefix}";
}
