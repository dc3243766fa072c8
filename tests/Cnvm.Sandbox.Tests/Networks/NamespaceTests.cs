using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Networks;

/// <summary>Sandboxes in network namespaces with interfaces: what VMM and guest are told, what is made there, and that it goes.</summary>
public sealed class NamespaceTests : IDisposable
{
    // What the VMM does; its TAP interface outlives this one.
    private const string MakeTap = "ip tuntap add dev cnvmpod0 mode tap; ip link set cnvmpod0 up";
    private const string Mac = "02:00:00:00:00:07";

    private static readonly string[] Veth =
    [
        $"link add eth0 address {Mac} mtu 1400 type veth peer name peer", "link set peer up", "link set eth0 up", "address add 10.9.0.2/24 dev eth0",
        "-6 address add fd00:9::2/64 dev eth0 nodad", "route add default via 10.9.0.1", "route add default via 10.9.0.3 metric 50", "neighbour add 10.9.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
        "link set peer down",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-namespace").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableFact]
    public async Task The_guest_gets_what_the_namespace_has_and_a_sandbox_that_was_left_is_cleaned_up()
    {
        using var pod = new PodNamespace(Veth);
        await using var vmm = new FakeVmm(instead: MakeTap);
        await using SandboxVm sandbox = await vmm.StartAsync(Joined(vmm, pod));
        Assert.Contains($"--net tap=cnvmpod0,mac={Mac},id=cnvmpod0,mtu=1400", string.Join(' ', vmm.Arguments), StringComparison.Ordinal);
        Interface told = vmm.Agent!.Single<UpdateInterfaceRequest>().Interface!;
        Assert.Equal(("eth0", Mac, 1400ul, ""), (told.Name, told.HwAddr, told.Mtu, told.DevicePath));
        Assert.Equal(["10.9.0.2/24", "fd00:9::2/64"], told.IpAddresses.Select(a => $"{a.Address}/{a.Mask}").Order(StringComparer.Ordinal));
        Assert.Equal(
            [("", "10.9.0.1", "eth0", IPFamily.V4, 0u), ("", "10.9.0.3", "eth0", IPFamily.V4, 50u)],
            vmm.Agent.Single<UpdateRoutesRequest>().Routes!.Items.Select(r => (r.Dest, r.Gateway, r.Device, r.Family, r.Metric)).OrderBy(r => r.Metric));
        ARPNeighbor neighbour = Assert.Single(vmm.Agent.Single<AddARPNeighborsRequest>().Neighbors!.Items);
        Assert.Equal(("10.9.0.9", "02:00:00:00:00:09", "eth0"), (neighbour.ToIpAddress!.Address, neighbour.Lladdr, neighbour.Device));
        Assert.Equal(["cnvmpod0", "eth0"], pod.Redirected.Order());
        Assert.Contains("Redirect to device eth0", pod.Tc("filter show dev cnvmpod0 ingress"), StringComparison.Ordinal);

        // Another one has no place there, and does no harm.
        await using var second = new FakeVmm(instead: MakeTap);
        SandboxException taken = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(Joined(second, pod)));
        Assert.Equal(SandboxErrorKind.AlreadyExists, taken.Kind);
        Assert.Equal(["cnvmpod0", "eth0"], pod.Redirected.Order());

        // As by another process, when this one was killed; TAP interfaces go with the VMM, and this one is another program's.
        SandboxVm.CleanUp(sandbox.Folder);
        Assert.DoesNotContain("eth0", pod.Redirected);
        Assert.False(Directory.Exists(sandbox.Folder));
        SandboxVm.CleanUp(sandbox.Folder);
    }

    [SkippableFact]
    public async Task An_end_in_order_removes_everything_even_behind_the_namespace()
    {
        await using var vmm = new FakeVmm(instead: MakeTap);
        using (var pod = new PodNamespace(Veth))
        {
            SandboxVm sandbox = await vmm.StartAsync(Joined(vmm, pod));
            await sandbox.DisposeAsync();
            Assert.DoesNotContain("eth0", pod.Redirected);
            Assert.False(Directory.Exists(sandbox.Folder));
        }

        SandboxVm late;
        await using var other = new FakeVmm(instead: MakeTap);
        using (var pod = new PodNamespace(Veth))
        {
            late = await other.StartAsync(Joined(other, pod));
        }

        await late.DisposeAsync();
        Assert.False(Directory.Exists(late.Folder));
    }

    [SkippableFact]
    public async Task Interfaces_that_cannot_be_joined_are_refused_by_name_and_nothing_is_left()
    {
        string[] many = [.. Enumerable.Range(0, 17).SelectMany(i => (string[])[$"link add many{i} type veth peer name other{i}", $"link set many{i} up"])];
        (string[] Commands, string Says)[] wrong =
        [
            (["link add br0 type bridge", "link set br0 up"], "interface br0 is of the kind bridge"),
            ([.. Veth, "route add unreachable 10.66.0.0/16"], "the route to 10.66.0.0/16 leads to no network"),
            ([.. Veth, "route add 10.55.0.0/16 nexthop via 10.9.0.3 nexthop via 10.9.0.4"], "the route to 10.55.0.0/16 has several next hops"),
            (many, "has 17 interfaces that are up; a sandbox has 16 at most"),
        ];
        foreach ((string[] commands, string says) in wrong)
        {
            using var pod = new PodNamespace(commands);
            await using var vmm = new FakeVmm();
            SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(Joined(vmm, pod)));
            Assert.Equal(SandboxErrorKind.Invalid, refused.Kind);
            Assert.Contains(says, refused.Message, StringComparison.Ordinal);
            Assert.False(Directory.Exists(vmm.Options.Folder));
            Assert.Empty(pod.Redirected);
        }
    }

    [SkippableFact]
    public async Task Somebody_elses_discipline_is_left_to_him()
    {
        using var pod = new PodNamespace(Veth);
        pod.Tc("qdisc add dev eth0 ingress");
        await using var vmm = new FakeVmm(instead: MakeTap);
        SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => vmm.StartAsync(Joined(vmm, pod)));
        Assert.Equal(SandboxErrorKind.AlreadyExists, refused.Kind);
        Assert.Contains("tc qdisc delete dev eth0 ingress", refused.Message, StringComparison.Ordinal);
        Assert.Equal("eth0", Assert.Single(pod.Redirected));
        Assert.False(Directory.Exists(vmm.Options.Folder));
    }

    [SkippableFact]
    public async Task Without_interfaces_and_in_the_hosts_own_namespace_there_is_no_network()
    {
        // A bridge that is down is as good as none.
        using var pod = new PodNamespace("link set lo up", "link add br0 type bridge");
        foreach (string? path in (string?[])[pod.File, "/proc/self/ns/net", null])
        {
            await using var vmm = new FakeVmm();
            await using SandboxVm sandbox = await vmm.StartAsync(vmm.Options with { NetworkNamespace = path, Network = SandboxNetwork.Namespace });
            Assert.DoesNotContain("--net", vmm.Arguments);
            Assert.Empty(vmm.Agent!.Requests.OfType<UpdateInterfaceRequest>());
            Assert.Empty(vmm.Agent.Requests.OfType<UpdateRoutesRequest>());
        }

        Assert.Empty(pod.Redirected);
    }

    [SkippableFact]
    public async Task A_saved_guest_gets_interfaces_when_it_runs_or_keeps_its_own()
    {
        using var pod = new PodNamespace(Veth);
        await using var vmm = new FakeVmm(happened: "vm resumed", instead: MakeTap);
        SandboxOptions options = Joined(vmm, pod) with { Kernel = null, Initramfs = null };
        await using (SandboxVm sandbox = await vmm.StartAsync(options with { Template = Template("bare", "null") }))
        {
            Assert.Contains($$"""PUT vm.add-net {"id":"cnvmpod0","tap":"cnvmpod0","mac":"{{Mac}}","mtu":1400}""", vmm.Calls);
            Interface told = vmm.Agent!.Single<UpdateInterfaceRequest>().Interface!;
            Assert.Equal((Mac, "06.0"), (told.HwAddr, told.DevicePath));
            Assert.Contains("eth0", pod.Redirected);
        }

        string two = Template("two", """[{"tap":"a","mac":"02:00:00:00:00:01"},{"tap":"b","mac":"02:00:00:00:00:02"}]""");
        using var fresh = new PodNamespace(Veth);
        await using var other = new FakeVmm(happened: "vm resumed", instead: MakeTap);
        options = Joined(other, fresh) with { Kernel = null, Initramfs = null };
        SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(options with { Template = two }));
        Assert.Contains("the saved guest has 2 network interfaces", refused.Message, StringComparison.Ordinal);
        refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(options with { Template = two, NetworkNamespace = null }));
        Assert.Contains("has 0 for it", refused.Message, StringComparison.Ordinal);

        string one = Template("one", """[{"tap":"old","mac":"02:00:00:00:00:01","fds":[3]}]""");
        await using (SandboxVm sandbox = await other.StartAsync(options with { Template = one }))
        {
            Assert.Contains(
                """{"tap":"cnvmpod0","mac":"02:00:00:00:00:01"}""", File.ReadAllText(Path.Combine(sandbox.Folder, "template", "config.json")), StringComparison.Ordinal);
            Assert.Equal("02:00:00:00:00:01", other.Agent!.Single<UpdateInterfaceRequest>().Interface!.HwAddr);
            Assert.Empty(other.Calls);
        }
    }

    private static SandboxOptions Joined(FakeVmm vmm, PodNamespace pod) => vmm.Options with { NetworkNamespace = pod.File, Network = SandboxNetwork.Namespace };

    private string Template(string name, string net)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
            {"vsock":{"cid":3,"socket":"/old/vsock.sock"},"serial":{"mode":"File","file":"/old/console.log"},"fs":[{"tag":"kataShared","path":"/old/shared"}],"net":{{net}}}
            """);
        return folder;
    }
}
