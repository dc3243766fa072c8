namespace Cnvm.GuestAgent.Net;

/// <summary>A route; what is empty is not said.</summary>
/// <param name="Destination">Address and prefix; empty is the default route.</param>
/// <param name="Scope">RT_SCOPE_ number.</param>
/// <param name="Mtu">Bytes; 0: not said.</param>
internal sealed record RouteEntry(string Destination, string Gateway, string Device, string Source, byte Scope, bool IsIPv6, uint Mtu)
{
    /// <summary>RTNH_F_ bits.</summary>
    public uint Flags { get; init; }

    /// <summary>0: the kernel's choice, which is 0 with IPv4 and 1024 with IPv6, where this is 0 too.</summary>
    public uint Metric { get; init; }
}
