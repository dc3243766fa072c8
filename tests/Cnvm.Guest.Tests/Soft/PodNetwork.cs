using Cnvm.Nested;
using Cnvm.Sandbox;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>Containers with the interfaces of a network namespace, as container engines make one for a pod; at the other end a client in another namespace.</summary>
[Collection(SoftGuests.Name)]
public sealed class PodNetwork(SoftHostFixture fixture, SandboxFixture sandboxes) : GuestTests(fixture), IClassFixture<SandboxFixture>
{
    private const int Bytes = 2_000_000;
    private const string Mac = "02:00:00:00:00:07";
    private const string Pod = "10.9.0.2";
    private const string Client = "10.9.0.1";
    private const string Far = "198.51.100.1";

    // Nobody answers for it but the fixed entry of the table of neighbours.
    private const string Silent = "10.9.0.9";

    [SkippableFact]
    public async Task A_container_has_what_the_pods_namespace_has_and_leaves_nothing_there()
    {
        SandboxFixture.SkipWithout();
        await using NetworkNamespace pod = await NetworkNamespace.CreateAsync(Host);
        await using NetworkNamespace client = await NetworkNamespace.CreateAsync(Host);
        await SkipWithoutRedirectsAsync(client);
        await pod.RunAsync($"ip link add eth0 address {Mac} mtu 1400 type veth peer name toward mtu 1400 netns {client.Name}");
        await PrepareAsync(client, "toward");
        string neighbour = (await client.RunAsync("cat /sys/class/net/toward/address")).Output.Trim();
        await pod.RunAsync($"ip neighbour add {Silent} lladdr {neighbour} dev eth0 nud permanent");
        await ConfigureAsync(pod);
        await pod.RunAsync($"ip route add 10.77.0.0/16 via {Silent} metric 99 && ip route add 10.77.0.0/16 via {Client} metric 77 && ip -6 route add fd00:77::/64 via fd00:9::1 metric 78");

        SandboxVm sandbox = await SandboxVm.StartAsync(Joined(pod));
        await using (sandbox)
        {
            Container container = await StartAsync(sandbox);
            string seen = await AskAsync(container, "busybox ip address show eth0; busybox ip route; busybox ip -6 route; busybox arp -n");
            foreach (string expected in (string[])[Mac, "mtu 1400", $"inet {Pod}/24", "inet6 fd00:9::2/64", $"default via {Client} dev eth0", "default via fd00:9::1 dev eth0", Silent, "metric 77", "metric 78", "metric 99"])
            {
                Assert.Contains(expected, seen, StringComparison.Ordinal);
            }

            await AskAsync(container, $"for to in {Client} {Far} fd00:9::1; do busybox ping -c 2 -W 60 $to || exit 1; done");
            await client.RunAsync($"ping -c 2 -W 60 {Pod} && ping -c 2 -W 60 fd00:9::2");

            // What is sent to the silent one arrives, with nobody asked for its place.
            await client.RunAsync($"ip address add {Silent}/32 dev lo && sysctl -qw net.ipv4.conf.toward.arp_ignore=1");
            await AskAsync(container, $"busybox ping -c 1 -W 60 {Silent}");

            await TransferAsync(client, container);
        }

        await AssertNothingIsLeftAsync(pod);
    }

    [SkippableFact]
    public async Task A_sandbox_from_a_template_gets_a_macvlan_when_it_runs_and_a_killed_one_is_cleaned_up()
    {
        SandboxFixture.SkipWithout();
        await using NetworkNamespace pod = await NetworkNamespace.CreateAsync(Host);
        await using NetworkNamespace client = await NetworkNamespace.CreateAsync(Host);
        await SkipWithoutRedirectsAsync(client);
        await client.RunAsync("ip link add toward type veth peer name below && ip link set below up");
        Skip.If((await client.TryRunAsync($"ip link add over link below address {Mac} type macvlan mode bridge")).ExitCode != 0, "this machine's kernel has no macvlan");
        await client.RunAsync($"ip link set over netns {pod.Name}");
        await pod.RunAsync("ip link set over name eth0");
        await PrepareAsync(client, "toward");
        await ConfigureAsync(pod);

        string template = sandboxes.PathOf("pod-template");
        await SandboxVm.MakeTemplateAsync(sandboxes.Options, template);
        await using SandboxVm sandbox = await SandboxVm.StartAsync(Joined(pod) with { Template = template, Kernel = null, Initramfs = null });
        Container container = await StartAsync(sandbox);
        await AskAsync(container, $"for to in {Client} {Far} fd00:9::1; do busybox ping -c 2 -W 60 $to || exit 1; done");
        await client.RunAsync($"ping -c 2 -W 60 {Pod}");
        Assert.Contains("qdisc ingress", (await pod.RunAsync("tc qdisc show dev eth0")).Output, StringComparison.Ordinal);

        using (var vmm = System.Diagnostics.Process.GetProcessById(sandbox.VmmProcessId))
        {
            vmm.Kill();
        }

        await sandbox.Ended.WaitAsync(GuestVm.Patience);
        Assert.DoesNotContain("cnvmpod", (await pod.RunAsync("ip -o link")).Output, StringComparison.Ordinal);
        SandboxVm.CleanUp(sandbox.Folder);
        await AssertNothingIsLeftAsync(pod);
    }

    private SandboxOptions Joined(NetworkNamespace pod) => sandboxes.Options with
    {
        NetworkNamespace = $"/run/netns/{pod.Name}", Network = SandboxNetwork.Namespace,
    };

    /// <summary>Skips the test where traffic cannot be redirected between interfaces.</summary>
    internal static async Task SkipWithoutRedirectsAsync(NetworkNamespace space)
    {
        CommandResult tried = await space.TryRunAsync(
            "tc qdisc add dev lo ingress && tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev lo && tc qdisc delete dev lo ingress");
        Skip.If(tried.ExitCode != 0, $"this machine cannot redirect traffic (tc, sch_ingress, cls_u32, act_mirred): {tried.Error}");
    }

    private static Task<CommandResult> PrepareAsync(NetworkNamespace client, string name) => client.RunAsync(
        $"ip address add {Client}/24 dev {name} && ip -6 address add fd00:9::1/64 dev {name} nodad && ip link set {name} up && ip address add {Far}/32 dev lo");

    private static Task<CommandResult> ConfigureAsync(NetworkNamespace pod) => pod.RunAsync(
        $"ip address add {Pod}/24 dev eth0 && ip -6 address add fd00:9::2/64 dev eth0 nodad && ip link set eth0 up && ip route add default via {Client} && ip -6 route add default via fd00:9::1 dev eth0");

    private static Task<CommandResult> AssertNothingIsLeftAsync(NetworkNamespace pod) => pod.RunAsync(
        "ip -o link | awk -F': ' '$2 !~ /^(lo|eth0@.*)$/ { print; found = 1 } END { exit found }' && ! tc qdisc show | grep ingress");

    private async Task<Container> StartAsync(SandboxVm sandbox)
    {
        Container container = await sandbox.CreateContainerAsync(
            "pod", new ContainerOptions(new ContainerRootfs(sandboxes.Rootfs), new ProcessOptions(["sleep", "100000"])));
        await container.StartAsync();
        return container;
    }

    /// <summary>Data over TCP, to the client and from it; the other end answers with the checksum of what has come.</summary>
    private async Task TransferAsync(NetworkNamespace client, Container container)
    {
        await using HostProcess there = await Host.StartAsync($"exec ip netns exec {client.Name} busybox nc -l -p 5003 -e /usr/bin/sha256sum");
        await client.RunAsync("for i in $(seq 300); do ss -Hltn | grep -q :5003 && exit 0; sleep 0.1; done; exit 1");
        string sent = await AskAsync(container, $"busybox head -c {Bytes} /dev/urandom >/tmp/data; busybox sha256sum </tmp/data; nc {Client} 5003 </tmp/data");
        AssertSameTwice(sent);

        SandboxProcess here = await container.ExecAsync(new ProcessOptions(["nc", "-l", "-p", "5004", "-e", "/bin/busybox", "sha256sum"]));
        await AskAsync(container, "for i in $(busybox seq 3000); do busybox netstat -ltn | busybox grep -q :5004 && exit 0; done; exit 1");
        AssertSameTwice((await client.RunAsync($"f=$(mktemp) && head -c {Bytes} /dev/urandom >$f && sha256sum <$f && busybox nc {Pod} 5004 <$f; rm $f")).Output.Trim());
        Assert.Equal(0, await here.WaitAsync());
    }

    private static void AssertSameTwice(string checksums)
    {
        string[] lines = checksums.Split('\n');
        Assert.True(lines.Length == 2 && lines[0] == lines[1] && lines[0].Length > 64, checksums);
    }

    private static async Task<string> AskAsync(Container container, string script)
    {
        SandboxProcess process = await container.ExecAsync(new ProcessOptions(["sh", "-c", $"({script}) 2>&1"]));
        string said = await new StreamReader(process.StandardOutput).ReadToEndAsync();
        Assert.True(await process.WaitAsync() == 0, said);
        return said.Trim();
    }
}
