using System.Globalization;
using System.Text.Json.Nodes;
using Cnvm.Agent.Protocol;
using Cnvm.Linux;
using Cnvm.Sandbox.Agent;
using Cnvm.Sandbox.Machine;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox.Networks;

/// <summary>
/// Joins a guest to the interfaces of a network namespace: the VMM makes a TAP interface there for each, which ends with it, and what one of the two
/// receives the other one sends, past the namespace's own network. One call at a time.
/// </summary>
/// <remarks>
/// The TAP interfaces are known by name and not by descriptor, so that a guest that goes on from a saved state, and one that gets its interfaces only
/// when it runs, come to them in the same way. What outlives the VMM is the queueing disciplines on the namespace's interfaces; the sandbox's folder says
/// which they are, before they are there, for whoever has to clean up.
/// </remarks>
internal sealed class NamespaceNetwork
{
    private const int RecordHeadLines = 2;
    private readonly string _path;
    private readonly string _identity;
    private readonly NamespaceSurvey _survey;
    private readonly List<PodInterface> _interfaces;
    private bool _isAddedLater;

    private NamespaceNetwork(string path, string identity, NamespaceSurvey survey)
    {
        _path = path;
        _identity = identity;
        _survey = survey;
        _interfaces = [.. survey.Interfaces];
    }

    /// <summary>For a guest that comes from another host with its interfaces, addresses and routes as they are. Nothing is made yet.</summary>
    /// <param name="path">Of the namespace that is to be its own here.</param>
    /// <param name="taps">Of its configuration, in order.</param>
    /// <param name="folder">Of the sandbox here.</param>
    /// <exception cref="SandboxException">The namespace is missing, this process's own or another sandbox's, or its interfaces do not fit the guest's.</exception>
    /// <exception cref="LinuxException">It cannot be entered, or its traffic not be redirected.</exception>
    public static NamespaceNetwork ForArrival(string path, IReadOnlyList<ArrivingTap> taps, SandboxFolder folder)
    {
        string identity = NetworkNamespaces.IdentityOf(path) ?? throw new SandboxException(SandboxErrorKind.NotFound, $"there is no network namespace {path}");
        if (identity == NetworkNamespaces.IdentityOf(NetworkNamespaces.Own))
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid, $"network namespace {path} is the one that cnvm itself is in: a guest that had its interfaces would take them from this host");
        }

        if (File.Exists(folder.NetworkRecord) && File.ReadAllLines(folder.NetworkRecord) is { Length: > RecordHeadLines } record
            && record[1] != identity && NetworkNamespaces.IdentityOf(record[0]) == record[1])
        {
            throw new SandboxException(
                SandboxErrorKind.AlreadyExists,
                $"the sandbox's folder {folder.Path} is that of a sandbox in network namespace {record[0]}: end that one, or name that namespace once, which takes away what is only left over");
        }

        var network = new NamespaceNetwork(path, identity, NamespaceSurvey.Read(path).For(path, taps));
        // Of an arrival that was cut off.
        Leave(folder);
        network.TryRedirects(folder);
        return network;
    }

    /// <summary>Path of the namespace.</summary>
    public string Path => _path;

    /// <summary>What the guest will have.</summary>
    public IReadOnlyList<PodInterface> Interfaces => _interfaces;

    /// <summary>Looks at the namespace of a sandbox.</summary>
    /// <returns>Null if the sandbox has another network. Without interfaces where no namespace is named, and for this process's own one: that is the host's.</returns>
    /// <exception cref="SandboxException">Something there cannot be the guest's.</exception>
    /// <exception cref="LinuxException">There is no such namespace, or it cannot be entered.</exception>
    public static NamespaceNetwork? Of(SandboxOptions options)
    {
        if (options.Network != SandboxNetwork.Namespace)
        {
            return null;
        }

        string path = options.NetworkNamespace ?? NetworkNamespaces.Own;
        string? identity = NetworkNamespaces.IdentityOf(path);
        return identity is not null && identity == NetworkNamespaces.IdentityOf(NetworkNamespaces.Own)
            ? new NamespaceNetwork(path, identity, NamespaceSurvey.Empty)
            : new NamespaceNetwork(path, identity ?? "", NamespaceSurvey.Read(path));
    }

    /// <summary>Values of the VMM's flag --net; empty for none.</summary>
    public IEnumerable<string> Values() => _interfaces.Select(i => string.Create(
        CultureInfo.InvariantCulture, $"tap={i.Tap},mac={i.Mac},id={i.Tap}{(i.DeviceMtu is { } mtu ? $",mtu={mtu}" : "")}"));

    /// <summary>Has a saved guest's interfaces stand for those of the namespace; one that was saved without any gets them when it runs.</summary>
    /// <param name="saved"><c>net</c> of its configuration, which is changed; null for none.</param>
    /// <exception cref="SandboxException">It has another number of them.</exception>
    public void TakeOver(JsonArray? saved)
    {
        int count = saved?.Count ?? 0;
        if (count == 0)
        {
            _isAddedLater = true;
            return;
        }

        if (count != _interfaces.Count)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid,
                string.Create(CultureInfo.InvariantCulture, $"the saved guest has {count} network interfaces, and network namespace {_path} has {_interfaces.Count} for it: they must be as many"));
        }

        for (int i = 0; i < count; i++)
        {
            JsonObject net = saved![i]!.AsObject();
            net.Remove("fds");
            net["tap"] = _interfaces[i].Tap;
            _interfaces[i] = _interfaces[i] with { Mac = (string?)net["mac"] ?? _interfaces[i].Mac };
        }
    }

    /// <summary>Has traffic go between namespace and guest, and tells the guest its addresses.</summary>
    /// <param name="api">The VMM, which runs.</param>
    /// <param name="folder">Of the sandbox.</param>
    /// <exception cref="SandboxException">An interface is another program's already, or VMM or agent refuse. <see cref="Leave"/> takes away what is there.</exception>
    public async Task EnterAsync(VmmApi api, AgentConnection agent, SandboxFolder folder, CancellationToken cancellation)
    {
        for (int i = 0; _isAddedLater && i < _interfaces.Count; i++)
        {
            _interfaces[i] = await AddAsync(api, _interfaces[i], cancellation).ConfigureAwait(false);
        }

        if (_interfaces.Count == 0)
        {
            return;
        }

        Join(folder);
        foreach (PodInterface one in _interfaces)
        {
            const uint NoArp = 0x80;
            var wanted = new Interface
            {
                Device = one.Link.Name,
                Name = one.Link.Name,
                HwAddr = one.Mac,
                Mtu = one.Link.Mtu,
                RawFlags = one.Link.HasNoArp ? NoArp : 0,
                DevicePath = one.DevicePath,
                // To an address with another end the survey has a route.
                IpAddresses = [.. one.Addresses.Select(a => NamespaceSurvey.Write(
                    a.Address, a.Peer.Equals(a.Address) ? a.Prefix : a.Address.GetAddressBytes().Length * 8))],
            };
            await agent.CallAsync<UpdateInterfaceRequest, Interface>(
                AgentService.UpdateInterface, new UpdateInterfaceRequest { Interface = wanted }, cancellation).ConfigureAwait(false);
        }

        await agent.CallAsync<UpdateRoutesRequest, Routes>(
            AgentService.UpdateRoutes, new UpdateRoutesRequest { Routes = new Routes { Items = _survey.Routes } }, cancellation).ConfigureAwait(false);
        if (_survey.Neighbours.Count > 0)
        {
            await agent.CallAsync<AddARPNeighborsRequest, Empty>(
                AgentService.AddARPNeighbors,
                new AddARPNeighborsRequest { Neighbors = new ARPNeighbors { Items = _survey.Neighbours } },
                cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Takes away what a sandbox has left in its network namespace, whose VMM has ended. Does nothing if nothing is left, or the namespace has gone.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Leave(SandboxFolder folder)
    {
        if (!File.Exists(folder.NetworkRecord))
        {
            return;
        }

        string[] record = File.ReadAllLines(folder.NetworkRecord);
        if (record.Length > RecordHeadLines && NetworkNamespaces.IdentityOf(record[0]) == record[1])
        {
            NetworkNamespaces.Within(record[0], () =>
            {
                using var socket = new RouteSocket();
                return record.Skip(RecordHeadLines).Count(index => TrafficRedirect.Remove(socket, int.Parse(index, CultureInfo.InvariantCulture)));
            });
        }

        File.Delete(folder.NetworkRecord);
    }

    private static async Task<PodInterface> AddAsync(VmmApi api, PodInterface one, CancellationToken cancellation)
    {
        string mtu = one.DeviceMtu is { } bytes ? string.Create(CultureInfo.InvariantCulture, $",\"mtu\":{bytes}") : "";
        string place = await api.PlugAsync("vm.add-net", $$"""{"id":"{{one.Tap}}","tap":"{{one.Tap}}","mac":"{{one.Mac}}"{{mtu}}}""", cancellation).ConfigureAwait(false);
        return one with { DevicePath = place };
    }

    /// <summary>Has traffic go between the namespace's interfaces and the TAP interfaces, which are there.</summary>
    /// <param name="folder">Of the sandbox; gets the record for <see cref="Leave"/>.</param>
    /// <returns>Numbers of the TAP interfaces, in order.</returns>
    /// <exception cref="SandboxException">An interface is another program's already.</exception>
    /// <exception cref="LinuxException">A TAP interface is missing (ENODEV), or the kernel refuses.</exception>
    public int[] Join(SandboxFolder folder)
    {
        var record = new List<string> { _path, _identity };
        return NetworkNamespaces.Within(_path, () =>
        {
            using var socket = new RouteSocket();
            int[] taps = new int[_interfaces.Count];
            for (int i = 0; i < taps.Length; i++)
            {
                PodInterface one = _interfaces[i];
                using var tap = new NetInterface(one.Tap);
                taps[i] = tap.Index;
                tap.Mtu = (int)one.Link.Mtu;
                tap.BringUp();
                Redirect(socket, one.Link, taps[i], record, folder);

                // It is the VMM's, and may have been joined already when the one beside it was not there yet.
                TrafficRedirect.Remove(socket, taps[i]);
                TrafficRedirect.Make(socket, taps[i], one.Link.Index);
            }

            return taps;
        });
    }

    /// <param name="record">What <paramref name="folder"/> has for <see cref="Leave"/>; gets the interface before it is changed.</param>
    /// <exception cref="SandboxException">It is another program's already.</exception>
    private void Redirect(RouteSocket socket, NetworkLink link, int to, List<string> record, SandboxFolder folder)
    {
        record.Add(link.Index.ToString(CultureInfo.InvariantCulture));
        File.WriteAllLines(folder.NetworkRecord, record);
        try
        {
            TrafficRedirect.Make(socket, link.Index, to);
        }
        catch (LinuxException e) when (e.Errno == Errno.EEXIST)
        {
            record.RemoveAt(record.Count - 1);
            File.WriteAllLines(folder.NetworkRecord, record);
            throw new SandboxException(
                SandboxErrorKind.AlreadyExists,
                $"network namespace {_path}: interface {link.Name} has an ingress queueing discipline, of another sandbox or program; if it is of none that lives, 'tc qdisc delete dev {link.Name} ingress' there removes it", e);
        }
    }

    /// <summary>Whether the kernel can redirect what comes to the interfaces, and nobody else does: for a moment it goes to the loopback interface.</summary>
    private void TryRedirects(SandboxFolder folder)
    {
        const int Loopback = 1;
        var record = new List<string> { _path, _identity };
        try
        {
            NetworkNamespaces.Within(_path, () =>
            {
                using var socket = new RouteSocket();
                _interfaces.ForEach(i => Redirect(socket, i.Link, Loopback, record, folder));
                return record.Count;
            });
        }
        finally
        {
            Leave(folder);
        }
    }
}
