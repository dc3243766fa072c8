using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Networks;

/// <summary>
/// What a guest gets of a network namespace: all interfaces that are up but the loopback one, with their addresses, routes and fixed neighbours. What
/// the kernel makes by itself (link-local addresses, routes to an address's own network) the guest's kernel makes as well.
/// </summary>
/// <param name="Interfaces">In the order in which the guest finds them.</param>
/// <param name="Routes">By the interfaces' names.</param>
/// <param name="Neighbours">By the interfaces' names.</param>
internal sealed record NamespaceSurvey(IReadOnlyList<PodInterface> Interfaces, IReadOnlyList<Route> Routes, IReadOnlyList<ARPNeighbor> Neighbours)
{
    public const int MostInterfaces = 16;
    public const int MostEntries = 4096;

    /// <summary>How names of the VMM's TAP interfaces begin.</summary>
    public const string TapPrefix = "cnvmpod";
    private const byte KernelOrigin = 2;
    private const byte RouterOrigin = 9;
    private const byte Unicast = 1;

    /// <summary>A namespace with nothing for a guest.</summary>
    public static NamespaceSurvey Empty { get; } = new([], [], []);

    /// <exception cref="SandboxException">Something there cannot be the guest's.</exception>
    /// <exception cref="LinuxException">There is no such namespace, or it cannot be entered.</exception>
    public static NamespaceSurvey Read(string path)
    {
        try
        {
            return NetworkNamespaces.Within(path, () =>
            {
                using var tables = new NetworkTables(MostEntries);
                return Choose(path, tables.Links(), tables.Addresses(), tables.Routes(), tables.Neighbours());
            });
        }
        catch (LinuxException e) when (e.Errno == Errno.EOVERFLOW)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, $"network namespace {path}: {e.Operation}: there are more than {MostEntries}, which is what a sandbox takes", e);
        }
    }

    /// <inheritdoc cref="Read"/>
    internal static NamespaceSurvey Choose(
        string path, List<NetworkLink> links, List<NetworkAddress> addresses, List<NetworkRoute> routes, List<NetworkNeighbour> neighbours)
    {
        List<NetworkLink> chosen = links.FindAll(l => l.IsUp && !l.IsLoopback);
        if (links.Find(l => l.Name.StartsWith(TapPrefix, StringComparison.Ordinal)) is { } other)
        {
            throw new SandboxException(
                SandboxErrorKind.AlreadyExists, $"network namespace {path} has an interface {other.Name}: it is another sandbox's already, and two cannot have the same one");
        }

        if (chosen.Find(l => !l.IsEthernet || l.Kind is not ("veth" or "macvlan")) is { } wrong)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid,
                $"network namespace {path}: interface {wrong.Name} is {(wrong.Kind.Length == 0 ? "hardware" : $"of the kind {wrong.Kind}")}, and only veth and macvlan interfaces can be joined to a guest; one that is down is left out");
        }

        if (chosen.Count > MostInterfaces)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid, string.Create(CultureInfo.InvariantCulture, $"network namespace {path} has {chosen.Count} interfaces that are up; a sandbox has {MostInterfaces} at most"));
        }

        var names = new Dictionary<int, string>();
        var interfaces = new List<PodInterface>();
        foreach (NetworkLink link in InGuestOrder(chosen))
        {
            names[link.Index] = link.Name;
            interfaces.Add(new PodInterface(
                link, string.Create(CultureInfo.InvariantCulture, $"{TapPrefix}{interfaces.Count}"), addresses.FindAll(a => a.Link == link.Index && !a.Address.IsIPv6LinkLocal)));
        }

        return new NamespaceSurvey(
            interfaces,
            [.. routes.Where(r => IsWanted(path, r, addresses) && names.ContainsKey(r.Link)).DistinctBy(KeyOf).Select(r => Write(r, names[r.Link]))],
            [.. neighbours.Where(n => n.IsPermanent && n.HardwareAddress.Length > 0 && names.ContainsKey(n.Link)).Select(n => Write(n, names[n.Link]))]);
    }

    /// <summary>The same for a guest that is there already, whose interfaces stay as they are.</summary>
    /// <param name="path">Of the namespace.</param>
    /// <param name="taps">Of the guest's configuration, in order.</param>
    /// <exception cref="SandboxException">The namespace's interfaces do not fit the guest's.</exception>
    internal NamespaceSurvey For(string path, IReadOnlyList<ArrivingTap> taps)
    {
        if (Interfaces.Count != taps.Count)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid,
                string.Create(CultureInfo.InvariantCulture, $"the guest has {taps.Count} network interfaces, and network namespace {path} has {Interfaces.Count} for it: they must be as many"));
        }

        return this with { Interfaces = [.. Interfaces.Select((one, i) => Fitting(path, one, taps[i]))] };
    }

    private static PodInterface Fitting(string path, PodInterface one, ArrivingTap tap)
    {
        NetworkLink link = one.Link;
        if (link.Mtu < tap.Mtu)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid,
                string.Create(CultureInfo.InvariantCulture, $"network namespace {path}: interface {link.Name} has an MTU of {link.Mtu}, and the guest's sends packets of up to {tap.Mtu} bytes"));
        }

        // Unlike a veth, which takes everything.
        if (link.Kind == "macvlan" && tap.Mac.Length > 0 && !string.Equals(link.HardwareAddress, tap.Mac, StringComparison.OrdinalIgnoreCase))
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid,
                $"network namespace {path}: interface {link.Name} is a macvlan, which takes packets for {link.HardwareAddress} only, and the guest's has {tap.Mac}: 'ip link set {link.Name} address {tap.Mac}' there gives it that");
        }

        return one with { Tap = tap.Name };
    }

    /// <summary>
    /// The guest's kernel calls them eth0, eth1 and so on as they come: one that has such a name comes at its place, so that none has a name that another one is to get.
    /// </summary>
    private static IEnumerable<NetworkLink> InGuestOrder(List<NetworkLink> links)
    {
        var inPlace = new NetworkLink?[links.Count];
        for (int i = 0; i < inPlace.Length; i++)
        {
            inPlace[i] = links.Find(l => l.Name == string.Create(CultureInfo.InvariantCulture, $"eth{i}"));
        }

        var others = new Queue<NetworkLink>(links.Where(l => !inPlace.Contains(l)));
        return inPlace.Select(l => l ?? others.Dequeue());
    }

    private static bool IsWanted(string path, NetworkRoute route, List<NetworkAddress> addresses)
    {
        if (route.Origin == KernelOrigin)
        {
            // The agent sets addresses without the other end's, and so the route there would be missing.
            return route.Type == Unicast && addresses.Exists(
                a => a.Link == route.Link && !a.Peer.Equals(a.Address) && (a.Address.Equals(route.Source) || a.Peer.Equals(route.Destination)));
        }

        if (route.Origin == RouterOrigin)
        {
            return false;
        }

        return route is { Type: Unicast, HasOtherHops: false }
            ? true
            : throw new SandboxException(
                SandboxErrorKind.Invalid,
                $"network namespace {path}: the route to {route} {(route.HasOtherHops ? "has several next hops, or one of another protocol" : "leads to no network (unreachable, blackhole or the like)")}, which a sandbox cannot have");
    }

    /// <summary>Of several routes the kernel has one that it uses first: the others are there for when that one's interface is down, and have other metrics.</summary>
    private static string KeyOf(NetworkRoute route) => string.Create(CultureInfo.InvariantCulture, $"{route.IsIPv6} {route} {route.Metric}");

    private static Route Write(NetworkRoute route, string device) => new()
    {
        Dest = route.Destination is null ? "" : route.ToString(),
        Gateway = route.Gateway?.ToString() ?? "",
        Device = device,
        Source = route.Source?.ToString() ?? "",
        Scope = route.Scope,
        Family = route.IsIPv6 ? IPFamily.V6 : IPFamily.V4,
        Flags = route.Flags,
        Metric = route.Metric,
    };

    private static ARPNeighbor Write(NetworkNeighbour neighbour, string device) => new()
    {
        ToIpAddress = Write(neighbour.Address, null), Device = device, Lladdr = neighbour.HardwareAddress, State = neighbour.State, Flags = neighbour.Flags,
    };

    /// <param name="prefix">Null: nothing is said of one.</param>
    internal static IPAddress Write(System.Net.IPAddress address, int? prefix) => new()
    {
        Family = address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? IPFamily.V6 : IPFamily.V4,
        Address = address.ToString(),
        Mask = prefix?.ToString(CultureInfo.InvariantCulture) ?? "",
    };
}
