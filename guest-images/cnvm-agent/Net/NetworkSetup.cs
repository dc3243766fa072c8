using System.Buffers.Binary;
using System.Globalization;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Net;

/// <summary>The sandbox's interfaces, addresses, routes and neighbours. Any thread; one call at a time has the socket.</summary>
internal sealed class NetworkSetup
{
    private const ushort NewLink = 16;
    private const ushort GetLink = 18;
    private const ushort NewAddress = 20;
    private const ushort DeleteAddress = 21;
    private const ushort GetAddress = 22;
    private const ushort NewRoute = 24;
    private const ushort DeleteRoute = 25;
    private const ushort GetRoute = 26;
    private const ushort NewNeighbour = 28;
    private const int LinkBody = 16;
    private const int AddressBody = 8;
    private const int RouteBody = 12;
    private const ushort LinkAddress = 1;
    private const ushort LinkName = 3;
    private const ushort LinkMtu = 4;
    private const ushort AddressValue = 1;
    private const ushort AddressLocal = 2;
    private const ushort RouteDestination = 1;
    private const ushort RouteDevice = 4;
    private const ushort RouteGateway = 5;
    private const ushort RoutePriority = 6;
    private const ushort RoutePreferredSource = 7;
    private const ushort RouteMetrics = 8;
    private const ushort RouteMtu = 2;
    private const uint Up = 1;
    private const uint NoArp = 0x80;
    private const byte Inet = InternetAddress.AF_INET;
    private const byte Inet6 = InternetAddress.AF_INET6;
    private const byte MainTable = 254;
    private const byte BootProtocol = 3;
    private const byte KernelProtocol = 2;
    private const byte Unicast = 1;
    private const byte PermanentAddress = 0x80;
    private const uint OnLink = 4;
    private const uint DefaultMetric6 = 1024;
    private const byte NoDuplicateDetection = 2;
    private const uint LinkEvents = 1;
    private const int WaitMilliseconds = 10_000;
    private readonly Lock _lock = new();

    /// <summary>Brings the loopback interface up.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void BringLoopbackUp()
    {
        using var loopback = new NetInterface("lo");
        loopback.BringUp();
    }

    /// <summary>Interfaces but the loopback one.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public List<LinkState> Links()
    {
        lock (_lock)
        {
            using var socket = new RouteSocket();
            return Links(socket);
        }
    }

    /// <summary>Gives the interface of a hardware address, or of a name, its name, MTU and addresses, and brings it up.</summary>
    /// <param name="waits">It may only be coming: wait for it, ten seconds at most.</param>
    /// <returns>As it is now.</returns>
    /// <exception cref="LinuxException">There is no such interface, or the kernel refuses.</exception>
    public LinkState Update(LinkState wanted, bool hasNoArp, bool waits)
    {
        lock (_lock)
        {
            using var socket = new RouteSocket();
            LinkState link = Find(socket, wanted, waits);
            foreach (LinkAddress address in link.Addresses.Where(a => !wanted.Addresses.Any(w => w.IsSame(a))))
            {
                // What the kernel makes by itself (link-local addresses) is the kernel's.
                if (!address.Address.IsVersion6LinkLocal)
                {
                    ChangeAddress(socket, DeleteAddress, 0, link.Index, address);
                }
            }

            // Names change only while an interface is down.
            SetLink(socket, link.Index, 0, Up, m => m);
            SetLink(socket, link.Index, 0, 0, m =>
            {
                m = wanted.Name.Length > 0 && wanted.Name != link.Name ? m.Add(LinkName, wanted.Name) : m;
                return wanted.Mtu != 0 ? m.Add(LinkMtu, wanted.Mtu) : m;
            });
            foreach (LinkAddress address in wanted.Addresses)
            {
                ChangeAddress(socket, NewAddress, RouteSocket.Create | RouteSocket.Replace, link.Index, address);
            }

            SetLink(socket, link.Index, hasNoArp ? Up | NoArp : Up, hasNoArp ? Up | NoArp : Up, m => m);
            return Links(socket).Find(l => l.Index == link.Index)!;
        }
    }

    /// <summary>Routes of the main table, without the kernel's own.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public List<RouteEntry> Routes()
    {
        lock (_lock)
        {
            using var socket = new RouteSocket();
            return Routes(socket);
        }
    }

    /// <summary>Makes the main table's routes, the kernel's own apart, those that are given.</summary>
    /// <exception cref="LinuxException">An interface is missing, or the kernel refuses.</exception>
    public void ReplaceRoutes(IReadOnlyList<RouteEntry> wanted)
    {
        lock (_lock)
        {
            using var socket = new RouteSocket();
            foreach (RouteEntry old in Routes(socket).Where(o => !wanted.Any(w => w == o)))
            {
                // One may have gone together with another.
                _ = ChangeRoute(socket, DeleteRoute, 0, old, Links(socket));
            }

            List<LinkState> links = Links(socket);
            // What leads to gateways comes before what goes through them.
            foreach (RouteEntry route in wanted.Where(r => r.Gateway.Length == 0).Concat(wanted.Where(r => r.Gateway.Length > 0)))
            {
                int error = ChangeRoute(socket, NewRoute, RouteSocket.Create | RouteSocket.Replace, route, links);
                if (error != 0)
                {
                    throw new LinuxException($"add the route to {(route.Destination.Length == 0 ? "anywhere" : route.Destination)} by {route.Device}", error);
                }
            }
        }
    }

    /// <summary>Tells the kernel a neighbour's hardware address.</summary>
    /// <param name="state">NUD_ bits; 0 is permanent.</param>
    /// <exception cref="LinuxException">The interface is missing, or the kernel refuses.</exception>
    public void AddNeighbour(InternetAddress address, string device, string hardwareAddress, uint state, uint flags)
    {
        lock (_lock)
        {
            using var socket = new RouteSocket();
            byte[] body = new byte[12];
            body[0] = address.Family;
            BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), IndexOf(Links(socket), device));
            BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(8), (ushort)(state == 0 ? PermanentAddress : state));
            body[10] = (byte)flags;
            socket.Order($"add the neighbour {address}", NewNeighbour, RouteSocket.Create | RouteSocket.Replace, body, m => m
                .Add(1, address.Bytes.ToArray())
                .Add(2, HardwareBytes(hardwareAddress)));
        }
    }

    /// <summary>A route's metric as <see cref="RouteEntry"/> has it.</summary>
    public static uint MetricOf(uint priority, bool isIPv6) => isIPv6 && priority == DefaultMetric6 ? 0 : priority;

    private static InternetAddress Parse(string text) =>
        InternetAddress.TryParse(text) ?? throw new StageException($"'{text}' is no IP address");

    private static byte[] HardwareBytes(string text) =>
        [.. text.Split(':').Select(b => byte.Parse(b, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];

    private static int IndexOf(List<LinkState> links, string device) =>
        device == "lo" ? 1 : links.FirstOrDefault(l => l.Name == device)?.Index ?? throw new LinuxException($"find the network interface {device}", Errno.ENODEV);

    private static LinkState Find(RouteSocket socket, LinkState wanted, bool waits)
    {
        // Whatever comes between the look and the wait has been announced here.
        using NetlinkSocket? events = waits ? new NetlinkSocket(NetlinkSocket.NETLINK_ROUTE, LinkEvents) : null;
        byte[] announcement = new byte[1 << 13];
        long deadline = Environment.TickCount64 + WaitMilliseconds;
        while (true)
        {
            if (Links(socket).FirstOrDefault(l => wanted.HardwareAddress.Length > 0
                ? string.Equals(l.HardwareAddress, wanted.HardwareAddress, StringComparison.OrdinalIgnoreCase)
                : l.Name == wanted.Name) is { } link)
            {
                return link;
            }

            int left = (int)(deadline - Environment.TickCount64);
            if (events is null || left <= 0 || Poll.Wait([new PollEntry { Fd = events.Fd, Events = PollEntry.In }], left) == 0)
            {
                throw new LinuxException($"find the network interface {wanted.HardwareAddress} {wanted.Name}", Errno.ENODEV);
            }

            _ = events.Receive(announcement);
        }
    }

    private static List<LinkState> Links(RouteSocket socket)
    {
        const uint Loopback = 8;
        List<NetlinkAnswer> addresses = socket.List("list addresses", GetAddress, new byte[AddressBody], AddressBody);
        return
        [
            .. socket.List("list interfaces", GetLink, new byte[LinkBody], LinkBody)
                .Where(l => ((uint)l.Int(8) & Loopback) == 0)
                .Select(l => new LinkState(
                    l.Int(4), l.Text(LinkName), l.HardwareAddress(LinkAddress), l.Number(LinkMtu) ?? 0,
                    [
                        .. addresses.Where(a => a.Int(4) == l.Int(4))
                            .Select(a => (Text: a.Address(AddressLocal) is { Length: > 0 } local ? local : a.Address(AddressValue), Prefix: a.Byte(1)))
                            .Where(a => a.Text.Length > 0)
                            .Select(a => new LinkAddress(Parse(a.Text), a.Prefix)),
                    ])),
        ];
    }

    private static List<RouteEntry> Routes(RouteSocket socket)
    {
        List<LinkState> links = Links(socket);
        return
        [
            .. socket.List("list routes", GetRoute, new byte[RouteBody], RouteBody)
                .Where(r => r.Byte(4) == MainTable && r.Byte(5) != KernelProtocol && r.Byte(7) == Unicast)
                .Select(r => new RouteEntry(
                    r.Address(RouteDestination) is { Length: > 0 } to ? string.Create(CultureInfo.InvariantCulture, $"{to}/{r.Byte(1)}") : "",
                    r.Address(RouteGateway),
                    links.FirstOrDefault(l => l.Index == (r.Number(RouteDevice) ?? 0))?.Name ?? "",
                    r.Address(RoutePreferredSource), r.Byte(6), r.Byte(0) == Inet6, 0)
                {
                    Metric = MetricOf(r.Number(RoutePriority) ?? 0, r.Byte(0) == Inet6),
                }),
        ];
    }

    private static void SetLink(RouteSocket socket, int index, uint flags, uint change, Func<NetlinkMessage, NetlinkMessage> fill)
    {
        byte[] body = new byte[LinkBody];
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), index);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(8), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(12), change);
        socket.Order($"change network interface {index}", NewLink, 0, body, fill);
    }

    private static void ChangeAddress(RouteSocket socket, ushort type, ushort flags, int index, LinkAddress address)
    {
        byte[] body = new byte[AddressBody];
        body[0] = address.Address.Family;
        body[1] = address.Prefix;
        // Whoever gives the address has made sure of it; containers can use it at once.
        body[2] = type == NewAddress && body[0] == Inet6 ? NoDuplicateDetection : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), index);
        byte[] value = address.Address.Bytes.ToArray();
        socket.Order($"change address {address.Address} of network interface {index}", type, flags, body, m => m.Add(AddressLocal, value).Add(AddressValue, value));
    }

    private static int ChangeRoute(RouteSocket socket, ushort type, ushort flags, RouteEntry route, List<LinkState> links)
    {
        byte[] body = new byte[RouteBody];
        string[] destination = route.Destination.Split('/');
        bool isAnywhere = route.Destination.Length == 0;
        InternetAddress? to = isAnywhere ? null : Parse(destination[0]);
        body[0] = route.IsIPv6 ? Inet6 : to is null ? Inet : to.Family;
        body[1] = isAnywhere ? (byte)0
            : destination.Length == 2 ? byte.Parse(destination[1], CultureInfo.InvariantCulture)
            : (byte)(to!.Bytes.Length * 8);
        body[4] = MainTable;
        body[5] = type == NewRoute ? BootProtocol : (byte)0;
        body[6] = route.Scope;
        body[7] = Unicast;
        if (route.Flags != 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(8), route.Flags & OnLink);
        }

        int device = route.Device.Length == 0 ? 0 : IndexOf(links, route.Device);
        // Without one a removal would take any route there.
        uint priority = route.Metric == 0 && body[0] == Inet6 ? DefaultMetric6 : route.Metric;
        return socket.TryOrder(type, flags, body, m =>
        {
            m = isAnywhere ? m : m.Add(RouteDestination, to!.Bytes.ToArray());
            m = device == 0 ? m : m.Add(RouteDevice, (uint)device);
            m = route.Gateway.Length == 0 ? m : m.Add(RouteGateway, Parse(route.Gateway).Bytes.ToArray());
            m = route.Source.Length == 0 ? m : m.Add(RoutePreferredSource, Parse(route.Source).Bytes.ToArray());
            m = priority == 0 ? m : m.Add(RoutePriority, priority);
            if (route.Mtu == 0)
            {
                return m;
            }

            byte[] metric = new byte[8];
            BinaryPrimitives.WriteUInt16LittleEndian(metric, 8);
            BinaryPrimitives.WriteUInt16LittleEndian(metric.AsSpan(2), RouteMtu);
            BinaryPrimitives.WriteUInt32LittleEndian(metric.AsSpan(4), route.Mtu);
            return m.Add(RouteMetrics, metric);
        });
    }
}
