using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Linux.Tests;

/// <summary>rtnetlink messages against the kernel, in network namespaces of their own: tables that ip(8) has filled, and redirected traffic.</summary>
public sealed class NetlinkTests
{
    private const string GuestMac = "02:00:00:00:00:07";

    [SkippableFact]
    public void Tables_have_what_ip_has_set() => NetworkNamespace.Run(() =>
    {
        Ip("link add eth0 address 02:00:00:00:00:07 mtu 1400 type veth peer name peer");
        Ip("link set eth0 up");
        Ip("link set peer up");
        Ip("address add 10.9.0.2/24 dev eth0");
        Ip("address add 10.8.0.1 peer 10.8.0.2/32 dev eth0");
        Ip("-6 address add fd00:9::2/64 dev eth0 nodad");
        Ip("route add default via 10.9.0.1");
        Ip("route add 10.77.0.0/16 via 10.9.0.1 src 10.9.0.2 metric 5");
        Ip("route add 169.254.1.1 dev eth0 scope link");
        Ip("-6 route add default via fd00:9::1 dev eth0");
        Ip("route add unreachable 10.66.0.0/16");
        Ip("route add 10.55.0.0/16 nexthop via 10.9.0.3 nexthop via 10.9.0.4");
        Ip("route add 10.44.0.0/16 via 10.9.0.1 table 7");
        Ip("neighbour add 10.9.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent");
        using var tables = new NetworkTables(most: 100);

        List<NetworkLink> links = tables.Links();
        NetworkLink eth0 = links.Single(l => l.Name == "eth0");
        Assert.Equal(("veth", GuestMac, 1400u, true, true, false), (eth0.Kind, eth0.HardwareAddress, eth0.Mtu, eth0.IsUp, eth0.IsEthernet, eth0.HasNoArp));
        Assert.Equal((true, false), (links[0].IsLoopback, links[0].IsUp));

        List<NetworkAddress> addresses = tables.Addresses().FindAll(a => a.Link == eth0.Index && !a.Address.IsIPv6LinkLocal);
        Assert.Contains(new NetworkAddress(eth0.Index, IPAddress.Parse("10.9.0.2"), IPAddress.Parse("10.9.0.2"), 24), addresses);
        Assert.Contains(new NetworkAddress(eth0.Index, IPAddress.Parse("10.8.0.1"), IPAddress.Parse("10.8.0.2"), 32), addresses);
        Assert.Contains(new NetworkAddress(eth0.Index, IPAddress.Parse("fd00:9::2"), IPAddress.Parse("fd00:9::2"), 64), addresses);
        Assert.Equal(3, addresses.Count);

        const byte Kernel = 2;
        List<NetworkRoute> routes = tables.Routes().FindAll(r => r.Origin != Kernel);
        Assert.Equal(
            ["10.55.0.0/16", "10.66.0.0/16", "10.77.0.0/16", "169.254.1.1/32", "default", "default"], routes.Select(r => r.ToString()).Order(StringComparer.Ordinal));
        NetworkRoute far = routes.Single(r => r.ToString() == "10.77.0.0/16");
        Assert.Equal((eth0.Index, "10.9.0.1", "10.9.0.2", 5u, 1, false), (far.Link, far.Gateway!.ToString(), far.Source!.ToString(), far.Metric, (int)far.Type, far.HasOtherHops));
        Assert.True(routes.Single(r => r.ToString() == "10.55.0.0/16").HasOtherHops);
        Assert.NotEqual(1, routes.Single(r => r.ToString() == "10.66.0.0/16").Type);
        Assert.Equal("fd00:9::1", routes.Single(r => r.IsIPv6).Gateway?.ToString());
        NetworkRoute near = routes.Single(r => r.ToString() == "169.254.1.1/32");
        Assert.Equal((253, true), ((int)near.Scope, near.Gateway is null));

        NetworkNeighbour neighbour = tables.Neighbours().Single(n => n.IsPermanent && n.Link == eth0.Index);
        Assert.Equal(("10.9.0.9", "02:00:00:00:00:09"), (neighbour.Address.ToString(), neighbour.HardwareAddress));

        foreach (Action<NetworkTables> list in (Action<NetworkTables>[])[t => t.Links(), t => t.Addresses(), t => t.Routes()])
        {
            // What the kernel still has to say of one table would be in the way of the next one.
            using var few = new NetworkTables(most: 2);
            Assert.Equal(Errno.EOVERFLOW, Assert.Throws<LinuxException>(() => list(few)).Errno);
        }
    });

    [SkippableFact]
    public void What_one_interface_receives_the_other_one_sends_until_it_is_removed() => NetworkNamespace.Run(() =>
    {
        using TapQueue tap = TapQueue.Open("t0", multiQueue: false);
        Ip($"link add eth0 address {GuestMac} type veth peer name peer");
        Ip("address add 10.9.0.1/24 dev peer");
        foreach (string name in (string[])["eth0", "peer", "t0"])
        {
            Ip($"link set {name} up");
        }

        using var eth0 = new NetInterface("eth0");
        using var tap0 = new NetInterface("t0");
        using var socket = new RouteSocket();
        TrafficRedirect.Make(socket, eth0.Index, tap0.Index);
        TrafficRedirect.Make(socket, tap0.Index, eth0.Index);
        Assert.Equal(Errno.EEXIST, Assert.Throws<LinuxException>(() => TrafficRedirect.Make(socket, eth0.Index, tap0.Index)).Errno);

        // The host at the other end looks for the guest's address, and gets its answer from who holds the TAP interface.
        using var sender = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        sender.SendTo("hello"u8.ToArray(), new IPEndPoint(IPAddress.Parse("10.9.0.2"), 7777));
        byte[] question = Frame(tap, f => f[12] == 8 && f[13] == 6 && f.AsSpan(38, 4).SequenceEqual((byte[])[10, 9, 0, 2]));
        byte[] answer = [.. new byte[10], .. question[6..12], .. Mac(), 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, .. Mac(), 10, 9, 0, 2, .. question[22..32]];
        Assert.Equal(answer.Length, FileIo.Write(tap.Fd, answer));
        byte[] packet = Frame(tap, f => f[12] == 8 && f[13] == 0 && f[23] == 17);
        Assert.Equal("hello"u8.ToArray(), packet[42..47]);

        Assert.True(TrafficRedirect.Remove(socket, eth0.Index));
        Assert.False(TrafficRedirect.Remove(socket, eth0.Index));
    });

    [SkippableFact]
    public void What_fails_leaves_nothing_and_an_end_that_has_gone_can_be_cleaned_up_behind() => NetworkNamespace.Run(() =>
    {
        const int Missing = 4711;
        Ip("link add eth0 type veth peer name peer");
        using var eth0 = new NetInterface("eth0");
        using var socket = new RouteSocket();
        Assert.Equal(Errno.ENODEV, Assert.Throws<LinuxException>(() => TrafficRedirect.Make(socket, Missing, eth0.Index)).Errno);
        Assert.False(TrafficRedirect.Remove(socket, Missing));
        Assert.Throws<LinuxException>(() => TrafficRedirect.Make(socket, eth0.Index, Missing));
        Assert.False(TrafficRedirect.Remove(socket, eth0.Index));

        using (TapQueue tap = TapQueue.Open("t0", multiQueue: false))
        {
            using var tap0 = new NetInterface("t0");
            TrafficRedirect.Make(socket, eth0.Index, tap0.Index);
        }

        Assert.True(TrafficRedirect.Remove(socket, eth0.Index));
    });

    [Fact]
    public void Namespaces_are_told_apart()
    {
        string? own = NetworkNamespaces.IdentityOf(NetworkNamespaces.Own);
        Assert.NotNull(own);
        Assert.Equal(own, NetworkNamespaces.IdentityOf("/proc/self/ns/net"));
        Assert.NotEqual(own, NetworkNamespaces.IdentityOf("/proc/self/ns/uts"));
        Assert.Null(NetworkNamespaces.IdentityOf("/run/netns/cnvm-is-not-there"));
    }

    private static byte[] Mac() => [.. GuestMac.Split(':').Select(b => Convert.ToByte(b, 16))];

    /// <summary>The next frame of a kind, without the header before it.</summary>
    private static byte[] Frame(TapQueue tap, Func<byte[], bool> isMeant)
    {
        const int HeaderBytes = 10;
        byte[] buffer = new byte[2048];
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(1, Poll.Wait([new PollEntry { Fd = tap.Fd, Events = PollEntry.In }], 20_000));
            byte[] frame = buffer[HeaderBytes..FileIo.Read(tap.Fd, buffer)];
            if (isMeant(frame))
            {
                return frame;
            }
        }

        throw new Xunit.Sdk.XunitException("a hundred frames, and none is what was waited for");
    }

    private static void Ip(string arguments)
    {
        // A program that is started here is in the network namespace of this thread.
        using Process? process = Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(d => File.Exists(Path.Combine(d, "ip")))
            ? Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })
            : null;
        Skip.If(process is null, "ip is missing (iproute2)");
        string error = process!.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"ip {arguments}: {error}");
    }
}
