using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Net;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Service;

/// <summary>Calls about the sandbox's network.</summary>
internal sealed class NetworkCalls
{
    private const int MostItems = 4096;
    private const uint NoArp = 0x80;
    private readonly NetworkSetup _network = new();

    public void AddTo(TtrpcService service) => service
        .Add<UpdateInterfaceRequest, Interface>(AgentService.UpdateInterface, (r, _) => Answers.GetAsync(() => Update(r)))
        .Add<UpdateRoutesRequest, Routes>(AgentService.UpdateRoutes, (r, _) => Answers.GetAsync(() => Update(r)))
        .Add<ListInterfacesRequest, Interfaces>(
            AgentService.ListInterfaces, (_, _) => Answers.GetAsync(() => new Interfaces { Items = [.. _network.Links().Select(Write)] }))
        .Add<ListRoutesRequest, Routes>(AgentService.ListRoutes, (_, _) => Answers.GetAsync(List))
        .Add<AddARPNeighborsRequest, Empty>(AgentService.AddARPNeighbors, (r, _) => Answers.DoAsync(() => Add(r)));

    private Interface Update(UpdateInterfaceRequest request)
    {
        Interface wanted = request.Interface ?? throw new StageException("the interface is missing");
        // The kernel's names have 15 bytes at most.
        if (wanted.Name.Length > 15 || wanted.Name.Any(c => c is '/' or ':' || char.IsWhiteSpace(c)))
        {
            throw new StageException($"'{wanted.Name}' is no name of a network interface");
        }

        var state = new LinkState(0, wanted.Name.Length > 0 ? wanted.Name : wanted.Device, wanted.HwAddr, (uint)Math.Min(wanted.Mtu, 65535), [.. wanted.IpAddresses.Select(Read)]);

        // A place on the bus is said of one that has just been added.
        return Write(_network.Update(state, (wanted.RawFlags & NoArp) != 0, waits: wanted.DevicePath.Length > 0));
    }

    private Routes Update(UpdateRoutesRequest request)
    {
        IReadOnlyList<Route> wanted = Bounded(request.Routes?.Items ?? []);
        _network.ReplaceRoutes([.. wanted.Select(Read)]);
        return List();
    }

    private Routes List() => new()
    {
        Items =
        [
            .. _network.Routes().Select(r => new Route
            {
                Dest = r.Destination, Gateway = r.Gateway, Device = r.Device, Source = r.Source, Scope = r.Scope, Family = r.IsIPv6 ? IPFamily.V6 : IPFamily.V4,
                Metric = r.Metric,
            }),
        ],
    };

    private void Add(AddARPNeighborsRequest request)
    {
        foreach (ARPNeighbor neighbour in Bounded(request.Neighbors?.Items ?? []))
        {
            string address = neighbour.ToIpAddress?.Address ?? "";
            _network.AddNeighbour(Parse(address.Split('/')[0]), neighbour.Device, neighbour.Lladdr, (uint)neighbour.State, (uint)neighbour.Flags);
        }
    }

    private static bool IsAnywhere(string destination) => destination.Length == 0 || destination is "default" or "0.0.0.0/0" or "::/0";

    private static IReadOnlyList<T> Bounded<T>(IReadOnlyList<T> items) =>
        items.Count <= MostItems ? items : throw new StageException($"{items.Count} entries at once are too many; {MostItems} are not");

    private static InternetAddress Parse(string text) =>
        InternetAddress.TryParse(text) ?? throw new StageException($"'{text}' is no IP address");

    private static RouteEntry Read(Route route)
    {
        bool isIPv6 = route.Family == IPFamily.V6 || route.Dest.Contains(':') || route.Gateway.Contains(':');
        return new RouteEntry(IsAnywhere(route.Dest) ? "" : route.Dest, route.Gateway, route.Device, route.Source, (byte)route.Scope, isIPv6, 0)
        {
            Flags = route.Flags, Metric = NetworkSetup.MetricOf(route.Metric, isIPv6),
        };
    }

    private static LinkAddress Read(IPAddress address) => new(
        Parse(address.Address),
        byte.TryParse(address.Mask, NumberStyles.None, CultureInfo.InvariantCulture, out byte prefix) && prefix <= 128
            ? prefix
            : throw new StageException($"'{address.Mask}' is no length of a network's prefix"));

    private static Interface Write(LinkState link) => new()
    {
        Device = link.Name,
        Name = link.Name,
        HwAddr = link.HardwareAddress,
        Mtu = link.Mtu,
        IpAddresses =
        [
            .. link.Addresses.Select(a => new IPAddress
            {
                Family = a.Address.IsVersion6 ? IPFamily.V6 : IPFamily.V4,
                Address = a.Address.ToString(),
                Mask = a.Prefix.ToString(CultureInfo.InvariantCulture),
            }),
        ],
    };
}
