using Cnvm.Guest.Tests.Containers;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Shim(SoftHostFixture fixture, ITestOutputHelper output) : ShimTests(fixture, output)
{
    [GuestFact]
    public async Task A_container_has_its_network_namespaces_interface_and_a_killed_shim_leaves_none_of_it()
    {
        // Mounts that come later are not containerd's.
        await using NetworkNamespace pod = await NetworkNamespace.CreateAsync(Host);
        await using NetworkNamespace client = await NetworkNamespace.CreateAsync(Host);
        await pod.RunAsync($"ip link add eth0 type veth peer name toward netns {client.Name} && ip address add 10.9.0.2/24 dev eth0 && ip link set eth0 up");
        await client.RunAsync("ip address add 10.9.0.1/24 dev toward && ip link set toward up");
        await using Containerd containerd = await StartAsync();
        string options = $"--with-ns network:/run/netns/{pod.Name}";
        CommandResult first = await containerd.RunContainerAsync("ends", "busybox ping -c 1 -W 60 10.9.0.1 && exit 7", options);
        Assert.True(first.ExitCode == 7, $"{first}\n{await containerd.LogAsync()}");
        await AssertNothingIsLeftAsync(pod);

        await containerd.StartContainerAsync("killed", "exec sleep 100000", $"--null-io {options}");
        await client.RunAsync("ping -c 1 -W 60 10.9.0.2");
        await pod.RunAsync("tc qdisc show dev eth0 | grep ingress");
        await containerd.KillShimAsync("killed");
        await AssertNothingIsLeftAsync(pod);
        await containerd.RunAsync(containerd.Ctr("container rm killed"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task What_a_container_says_last_is_seen_although_ctr_leaves_at_its_end()
    {
        // More than lies in ctr and what it prints to, and less than all pipes on the way hold together: the container ends at once.
        const int Bytes = 200_000;
        await using Containerd containerd = await StartAsync();
        for (int i = 1; i <= 2; i++)
        {
            // Half of it is still in the FIFO and the shim then, since nobody reads what ctr prints.
            string run = containerd.CtrRun($"says{i}", $"head -c {Bytes} /dev/zero | tr '\\0' x; echo end; exit {i}");
            CommandResult result = await containerd.TryRunAsync($"set -o pipefail; {run} | (read -rN 1 first; sleep 1; printf %s \"$first\"; cat)");
            Assert.True(result.ExitCode == i && result.Output.Length == Bytes + 4, $"exit code {result.ExitCode}, {result.Output.Length} characters; {result.Error}\n{await containerd.LogAsync()}");
            Assert.EndsWith("xend\n", result.Output, StringComparison.Ordinal);
        }

        await containerd.AssertNothingIsLeftAsync();
    }

    // What containerd asks for behind a killed shim takes its time.
    private static Task<CommandResult> AssertNothingIsLeftAsync(NetworkNamespace pod) => pod.RunAsync(
        "for i in $(seq 300); do ip -o link | grep -q cnvmpod || tc qdisc show | grep -q ingress || exit 0; sleep 0.1; done; ip link; tc qdisc show; exit 1");
}
