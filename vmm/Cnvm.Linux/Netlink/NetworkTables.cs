namespace Cnvm.Linux;

/// <summary>
/// What a network namespace has of interfaces, addresses, routes and neighbours. Whoever may change it may put any number there, so the caller
/// says how many are taken; more are an error (EOVERFLOW). One thread, and the namespace that it is in when it makes this.
/// </summary>
/// <param name="most">Entries of each table.</param>
public sealed class NetworkTables(int most) : IDisposable
{
    private const uint MainTable = 254;
    private readonly RouteSocket _socket = new();

    /// <summary>Interfaces in the order of their numbers.</summary>
    /// <exception cref="LinuxException">The kernel refuses, or has too many.</exception>
    public List<NetworkLink> Links()
    {
        List<NetlinkAnswer> answers = List<ifinfomsg>("list network interfaces", RouteSpec.RTM_GETLINK);
        var links = new List<NetworkLink>(answers.Count);
        foreach (NetlinkAnswer a in answers)
        {
            ifinfomsg info = a.Body<ifinfomsg>();
            links.Add(new NetworkLink(
                info.ifi_index, a.Text(RouteSpec.IFLA_IFNAME), a.Nested(RouteSpec.IFLA_LINKINFO)?.Text(RouteSpec.IFLA_INFO_KIND) ?? "",
                info.ifi_type, info.ifi_flags, a.HardwareAddress(RouteSpec.IFLA_ADDRESS), a.Number(RouteSpec.IFLA_MTU) ?? 0));
        }

        links.Sort((a, b) => a.Index.CompareTo(b.Index));
        return links;
    }

    /// <summary>Addresses of both families.</summary>
    /// <inheritdoc cref="Links"/>
    public List<NetworkAddress> Addresses()
    {
        var addresses = new List<NetworkAddress>();
        foreach (NetlinkAnswer a in List<ifaddrmsg>("list addresses", RouteSpec.RTM_GETADDR))
        {
            ifaddrmsg info = a.Body<ifaddrmsg>();
            if ((a.Ip(RouteSpec.IFA_LOCAL) ?? a.Ip(RouteSpec.IFA_ADDRESS)) is { } own)
            {
                addresses.Add(new NetworkAddress((int)info.ifa_index, own, a.Ip(RouteSpec.IFA_ADDRESS) ?? own, info.ifa_prefixlen));
            }
        }

        return addresses;
    }

    /// <summary>Routes of the main table, of both families.</summary>
    /// <inheritdoc cref="Links"/>
    public List<NetworkRoute> Routes()
    {
        const byte Inet6 = 10;
        var routes = new List<NetworkRoute>();
        foreach (NetlinkAnswer a in List<rtmsg>("list routes", RouteSpec.RTM_GETROUTE))
        {
            rtmsg info = a.Body<rtmsg>();
            if ((a.Number(RouteSpec.RTA_TABLE) ?? info.rtm_table) != MainTable)
            {
                continue;
            }

            routes.Add(new NetworkRoute(
                (int)(a.Number(RouteSpec.RTA_OIF) ?? 0), a.Ip(RouteSpec.RTA_DST), info.rtm_dst_len, a.Ip(RouteSpec.RTA_GATEWAY), a.Ip(RouteSpec.RTA_PREFSRC))
            {
                IsIPv6 = info.rtm_family == Inet6,
                Scope = info.rtm_scope,
                Type = info.rtm_type,
                Origin = info.rtm_protocol,
                Flags = info.rtm_flags,
                Metric = a.Number(RouteSpec.RTA_PRIORITY) ?? 0,
                HasOtherHops = a.Has(RouteSpec.RTA_MULTIPATH) || a.Has(RouteSpec.RTA_VIA) || a.Has(RouteSpec.RTA_NH_ID),
            });
        }

        return routes;
    }

    /// <summary>Neighbours of both families.</summary>
    /// <inheritdoc cref="Links"/>
    public List<NetworkNeighbour> Neighbours()
    {
        var neighbours = new List<NetworkNeighbour>();
        foreach (NetlinkAnswer a in List<ndmsg>("list neighbours", RouteSpec.RTM_GETNEIGH))
        {
            ndmsg info = a.Body<ndmsg>();
            if (a.Ip(RouteSpec.NDA_DST) is { } address)
            {
                neighbours.Add(new NetworkNeighbour(info.ndm_ifindex, address, a.HardwareAddress(RouteSpec.NDA_LLADDR), info.ndm_state, info.ndm_flags));
            }
        }

        return neighbours;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private List<NetlinkAnswer> List<T>(string what, ushort type)
        where T : unmanaged
    {
        byte[] body = NetlinkMessage.BytesOf(default(T));
        return _socket.List(what, type, body, body.Length, most);
    }
}
