using Cnvm.Linux;
using Cnvm.Sandbox.Networks;
using Address = System.Net.IPAddress;

namespace Cnvm.Sandbox.Tests.Networks;

/// <summary>What is chosen of a namespace's tables.</summary>
public sealed class SurveyTests
{
    private const uint Up = 1;

    [Fact]
    public void Interfaces_come_so_that_the_kernels_names_are_in_nobodys_way()
    {
        NamespaceSurvey survey = Choose([Link(1, "lo", Up | 8), Link(2, "net1"), Link(3, "eth1"), Link(4, "down", 0), Link(5, "eth0"), Link(6, "eth9", kind: "macvlan")], [], []);
        Assert.Equal(["eth0 cnvmpod0", "eth1 cnvmpod1", "net1 cnvmpod2", "eth9 cnvmpod3"], survey.Interfaces.Select(i => $"{i.Link.Name} {i.Tap}"));
    }

    [Theory]
    [InlineData("tun", "tun", 1)]
    [InlineData("eno1", "", 1)]
    [InlineData("veth0", "veth", 772)]
    public void Others_are_refused_by_name(string name, string kind, int type)
    {
        SandboxException refused = Assert.Throws<SandboxException>(() => Choose([Link(2, name, kind: kind) with { HardwareType = (ushort)type }], [], []));
        Assert.Contains($"interface {name} is {(kind.Length == 0 ? "hardware" : $"of the kind {kind}")}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Routes_are_those_that_the_guests_kernel_does_not_make_itself()
    {
        const byte Boot = 3;
        const byte Kernel = 2;
        const byte Router = 9;
        Address own = Address.Parse("10.8.0.1");
        Address end = Address.Parse("10.8.0.2");
        List<NetworkRoute> routes =
        [
            Route(null, 0, Boot) with { Gateway = end, Metric = 100 }, Route(null, 0, Boot) with { Gateway = Address.Parse("10.8.0.3"), Metric = 10 },
            Route(null, 0, Boot) with { Gateway = Address.Parse("10.8.0.4"), Metric = 10 },
            Route("10.9.0.0", 24, Kernel) with { Source = Address.Parse("10.9.0.1") }, Route("10.8.0.2", 32, Kernel) with { Source = own, Scope = 253 },
            Route(null, 0, Router) with { IsIPv6 = true, Gateway = Address.Parse("fe80::1") }, Route("fe80::", 64, Kernel) with { IsIPv6 = true },
            Route("10.7.0.0", 16, Boot) with { Link = 99 },
        ];
        NamespaceSurvey survey = Choose(
            [Link(2, "eth0")],
            [new(2, own, end, 32), new(2, Address.Parse("10.9.0.1"), Address.Parse("10.9.0.1"), 24), new(2, Address.Parse("fe80::2"), Address.Parse("fe80::2"), 64)],
            routes);
        Assert.Equal(["10.8.0.1", "10.9.0.1"], Assert.Single(survey.Interfaces).Addresses.Select(a => a.Address.ToString()));
        Assert.Equal(
            [" via 10.8.0.2 dev eth0 metric 100", " via 10.8.0.3 dev eth0 metric 10", "10.8.0.2/32 via  dev eth0 metric 0"],
            survey.Routes.Select(r => $"{r.Dest} via {r.Gateway} dev {r.Device} metric {r.Metric}"));
    }

    [Fact]
    public void A_guest_that_is_there_already_keeps_its_hardware_address_which_a_macvlan_has_to_have()
    {
        NamespaceSurvey survey = Choose([Link(2, "eth0"), Link(3, "eth1", kind: "macvlan")], [], []);
        Assert.Equal(
            ["eth0 a", "eth1 b"],
            survey.For("/run/netns/pod", [new("a", 1500, "02:00:00:00:00:0c"), new("b", 0, "02:00:00:00:00:03")]).Interfaces.Select(i => $"{i.Link.Name} {i.Tap}"));
        SandboxException refused = Assert.Throws<SandboxException>(
            () => survey.For("/run/netns/pod", [new("a", 1500, "02:00:00:00:00:0c"), new("b", 1500, "02:00:00:00:00:0d")]));
        Assert.Contains("'ip link set eth1 address 02:00:00:00:00:0d' there gives it that", refused.Message, StringComparison.Ordinal);
    }

    private static NamespaceSurvey Choose(List<NetworkLink> links, List<NetworkAddress> addresses, List<NetworkRoute> routes) =>
        NamespaceSurvey.Choose("/run/netns/pod", links, addresses, routes, []);

    private static NetworkLink Link(int index, string name, uint flags = Up, string kind = "veth") => new(index, name, kind, 1, flags, $"02:00:00:00:00:0{index}", 1500);

    private static NetworkRoute Route(string? destination, byte prefix, byte origin) =>
        new(2, destination is null ? null : Address.Parse(destination), prefix, null, null) { Origin = origin, Type = 1 };
}
