using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>virtio-net on a TAP interface carries traffic both ways; nothing of it leaves a network namespace made for the test.</summary>
public abstract class NetTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private const string HostAddress = "192.168.249.1";
    private const string GuestAddress = "192.168.249.2";

    /// <summary>What one test sends each way.</summary>
    protected abstract int Bytes { get; }

    /// <summary>The host's own processors are emulated, and now and then lose a guest that works so long: all bytes are part of the long form there.</summary>
    protected abstract bool IsEmulated { get; }

    /// <summary>What the others send: enough to go round every queue many times.</summary>
    private int FewerBytes => Bytes / 5;

    [GuestTheory]
    [InlineData("cloud")]
    [InlineData("microvm")]
    public async Task A_tap_made_by_the_vmm_carries_ping_and_tcp_intact(string machine)
    {
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        GuestSetup setup = GuestSetup.Small with
        {
            Machine = machine,
            // An emulated host loses guests with one processor in the middle of the first transfer (triple fault), and hardly ever one with two.
            Cpus = IsEmulated ? 2 : 1,
            MemoryMiB = 512,
            Net = "tap=tap0,ip=192.168.249.1,mask=255.255.255.0,mac=52:54:00:12:34:56",
            NetworkNamespace = space.Name,
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await ConfigureAsync(guest);

        int bytes = machine == "cloud" && (Soak.IsOn || !IsEmulated) ? Bytes : FewerBytes;
        await PingBothWaysAsync(space, guest);
        await Traffic(space, guest).ToHostAsync(HostAddress, bytes);
        await Traffic(space, guest).ToGuestAsync(GuestAddress, bytes);

        await guest.PowerOffAsync();
        Assert.DoesNotContain("tap0", (await space.RunAsync("ip -o link")).Output, StringComparison.Ordinal);
    }

    [GuestFact]
    public async Task A_multi_queue_tap_uses_all_its_queues()
    {
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        await space.RunAsync("ip tuntap add dev tap0 mode tap multi_queue && ip address add 192.168.249.1/24 dev tap0 && ip link set tap0 up");
        GuestSetup setup = GuestSetup.Small with
        {
            Cpus = 2, MemoryMiB = 512, Net = "tap=tap0,num_queues=4,mac=52:54:00:12:34:57", NetworkNamespace = space.Name,
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await ConfigureAsync(guest);

        Assert.Equal("2", await guest.AskAsync("ls -d /sys/class/net/eth0/queues/tx-* | wc -l"));
        await PingBothWaysAsync(space, guest);
        await Traffic(space, guest).ToHostAsync(HostAddress, FewerBytes);
        await Traffic(space, guest).ToGuestAsync(GuestAddress, FewerBytes);
        // The transmit queue is that of the processor that sends.
        await guest.AskAsync("for cpu in 1 2; do taskset $cpu ping -c 3 -W 60 192.168.249.1; done");
        string interrupts = await guest.AskAsync("grep -E '(input|output)[.][0-9]' /proc/interrupts");
        int[] counts = [.. interrupts.Split('\n').Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(2).Sum(int.Parse))];
        Assert.Equal(4, counts.Length);
        Assert.True(counts.Count(n => n > 0) >= 3, interrupts);

        await guest.PowerOffAsync();
        // Whoever made the interface keeps it.
        Assert.Contains("tap0", (await space.RunAsync("ip -o link")).Output, StringComparison.Ordinal);
    }

    /// <summary>The host's end is the other end of the pair that the macvtap interface is on, since it does not hear what comes from the same interface.</summary>
    [GuestFact]
    public async Task A_macvtap_interface_gives_the_guest_its_address_and_carries_traffic()
    {
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        await space.RunAsync("ip link add below type veth peer name peer && ip address add 192.168.249.1/24 dev peer && ip link set below up && ip link set peer up");
        int number = Random.Shared.Next(100_000, 1_000_000_000);
        CommandResult made = await space.TryRunAsync($"ip link add link below name guest0 index {number} address 52:54:00:12:34:58 type macvtap mode bridge && test -c /dev/tap{number}");
        Skip.If(made.ExitCode != 0, $"this host's kernel has no macvtap, or its /dev no nodes of it: {made.Error}");
        GuestSetup setup = GuestSetup.Small with { Cpus = 2, MemoryMiB = 256, Net = "tap=guest0,num_queues=4", NetworkNamespace = space.Name };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await ConfigureAsync(guest);

        Assert.Equal("52:54:00:12:34:58", await guest.AskAsync("cat /sys/class/net/eth0/address"));
        Assert.Equal("2", await guest.AskAsync("ls -d /sys/class/net/eth0/queues/tx-* | wc -l"));
        await PingBothWaysAsync(space, guest);
        await Traffic(space, guest).ToHostAsync(HostAddress, FewerBytes);
        await Traffic(space, guest).ToGuestAsync(GuestAddress, FewerBytes);

        await guest.PowerOffAsync();
        Assert.Contains("guest0", (await space.RunAsync("ip -o link")).Output, StringComparison.Ordinal);
    }

    private NetTraffic Traffic(NetworkNamespace space, GuestVm guest) => new(Host, space, guest);

    private static async Task ConfigureAsync(GuestVm guest) =>
        await guest.AskAsync("ip address add 192.168.249.2/24 dev eth0 && ip link set eth0 up");

    private static async Task PingBothWaysAsync(NetworkNamespace space, GuestVm guest)
    {
        Assert.Contains(" 0% packet loss", await guest.AskAsync("ping -c 3 -W 60 192.168.249.1"), StringComparison.Ordinal);
        Assert.Contains(" 0% packet loss", (await space.RunAsync("ping -c 3 -i 0.2 -W 60 192.168.249.2")).Output, StringComparison.Ordinal);
        // More than one page and more than one frame.
        Assert.Contains(" 0% packet loss", (await space.RunAsync("ping -c 2 -s 8000 -i 0.2 -W 60 192.168.249.2")).Output, StringComparison.Ordinal);
    }
}
