using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>
/// A guest's interface at the socket of passt(1), which runs in a network namespace made for the test: what it does with the guest's traffic
/// stays there. The VMM itself needs no network at all.
/// </summary>
[Collection(SoftGuests.Name)]
public sealed class Passt(SoftHostFixture fixture) : GuestTests(fixture)
{
    private const int Bytes = 5_000_000;

    /// <summary>The namespace's, which the guest takes over, as passt has it do.</summary>
    private const string Address = "192.0.2.2";
    private const string Gateway = "192.0.2.1";

    /// <summary>The namespace's, too, and not the guest's.</summary>
    private const string Server = "198.51.100.1";

    [GuestTheory]
    [InlineData("cloud", "")]
    [InlineData("microvm", ",mtu=9000")]
    public async Task The_socket_of_passt_carries_ping_and_tcp_intact(string machine, string keys)
    {
        await using NetworkNamespace space = await MakeSpaceAsync();
        await using var scratch = new ScratchDirectory(Host);
        string socket = await MakeSocketFolderAsync(scratch);
        GuestSetup setup = GuestSetup.Small with { Machine = machine, Net = $"socket={socket},mac=52:54:00:12:34:58{keys}" };
        await using HostProcess first = await StartPasstAsync(space, socket);

        // Saved and restored on the way: the VMM connects anew.
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await guest.AskAsync("ip link set eth0 up");
        Assert.Contains($"lease of {Address} obtained", await guest.AskAsync("udhcpc -i eth0 -n -q -s /bin/true"), StringComparison.Ordinal);
        await guest.AskAsync($"ip address add {Address}/24 dev eth0 && ip route add default via {Gateway}");
        await PingAsync(guest);
        var traffic = new NetTraffic(Host, space, guest);
        await traffic.ToHostAsync(Server, Bytes);
        await traffic.ToGuestAsync("127.0.0.1", Bytes);

        // The program at the other end goes, and another one comes.
        await first.KillAsync();
        await guest.AskAsync("while [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 50000; done");
        Assert.Equal(0, await CounterAsync(guest, "connected"));
        await using HostProcess second = await StartPasstAsync(space, socket);
        await guest.AskAsync("while [ $(cat /sys/class/net/eth0/carrier) = 0 ]; do usleep 50000; done");
        Assert.Equal(1, await CounterAsync(guest, "connected"));
        Assert.True(await CounterAsync(guest, "reconnects") > 0);

        // Nobody has heard of the guest there, but for the frame that shows where it is.
        await traffic.ToGuestAsync("127.0.0.1", Bytes / 5);
        await PingAsync(guest);
        await guest.PowerOffAsync();
    }

    [GuestFact]
    public async Task A_passt_of_the_vmm_carries_ping_and_tcp_before_and_after_a_reboot()
    {
        await using NetworkNamespace space = await MakeSpaceAsync();
        GuestSetup setup = GuestSetup.Small with { Net = "passt=on,tcp_ports=5002,mac=52:54:00:12:34:59", NetworkNamespace = space.Name };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        var traffic = new NetTraffic(Host, space, guest);
        for (int boot = 0; boot < 2; boot++)
        {
            if (boot > 0)
            {
                await guest.PutAsync("vm.reboot");
                await guest.WaitForAsync(GuestVm.Ready);
            }

            await guest.AskAsync("ip link set eth0 up");
            Assert.Contains($"lease of {Address} obtained", await guest.AskAsync("udhcpc -i eth0 -n -q -s /bin/true"), StringComparison.Ordinal);
            await guest.AskAsync($"ip address add {Address}/24 dev eth0 && ip route add default via {Gateway}");
            await PingAsync(guest);
            await traffic.ToHostAsync(Server, Bytes / 5);
            await traffic.ToGuestAsync("127.0.0.1", Bytes / 5);
        }

        await guest.PowerOffAsync();

        // The one that served the guest has ended with it, and its port is free.
        await space.RunAsync("! ss -Hltn | grep -q :5002");
    }

    private static async Task PingAsync(GuestVm guest) =>
        Assert.Contains(" 0% packet loss", await guest.AskAsync($"ping -c 3 -W 60 {Server}"), StringComparison.Ordinal);

    private static async Task<long> CounterAsync(GuestVm guest, string name) =>
        (await guest.GetAsync("vm.counters")).GetProperty("_net0").GetProperty(name).GetInt64();

    /// <summary>A namespace with an interface that leads nowhere, for passt to take addresses from, and a place for servers.</summary>
    private async Task<NetworkNamespace> MakeSpaceAsync()
    {
        Skip.If((await Host.RunAsync("command -v passt")).ExitCode != 0, "passt is missing: guest-images/deps.sh installs it");
        NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        await space.RunAsync(
            $"ip link add host0 type veth peer name host1 && ip link set host0 up && ip link set host1 up && ip address add {Address}/24 dev host0 && "
            + $"ip route add default via {Gateway} dev host0 && ip address add {Server}/32 dev lo && sysctl -qw net.ipv4.ping_group_range='0 2147483647'");
        return space;
    }

    /// <summary>Root's passt becomes nobody before it makes its socket.</summary>
    private async Task<string> MakeSocketFolderAsync(ScratchDirectory scratch)
    {
        await scratch.MakeFileAsync("unused", "0");
        (await Host.RunAsync($"mkdir {scratch.Path}/net && chmod 777 {scratch.Path}/net && chmod 711 {scratch.Path} {Host.Scratch}")).OrThrow();
        return scratch.Path + "/net/passt.sock";
    }

    private async Task<HostProcess> StartPasstAsync(NetworkNamespace space, string socket)
    {
        HostProcess passt = await Host.StartAsync($"exec ip netns exec {space.Name} passt --foreground --stderr --ipv4-only --socket {socket} --tcp-ports 5002");
        await passt.WaitForAsync("UNIX domain socket bound at", GuestVm.Patience);
        return passt;
    }
}
