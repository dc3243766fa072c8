using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>virtio-net on a TAP interface carries traffic both ways; nothing of it leaves a network namespace made for the test.</summary>
public abstract class NetTests(GuestHostFixture fixture) : GuestTests(fixture)
{
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
        await SendToHostAsync(space, guest, bytes);
        await SendToGuestAsync(space, guest, bytes);

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
        await SendToHostAsync(space, guest, FewerBytes);
        await SendToGuestAsync(space, guest, FewerBytes);
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

    private static async Task ConfigureAsync(GuestVm guest) =>
        await guest.AskAsync("ip address add 192.168.249.2/24 dev eth0 && ip link set eth0 up");

    private static async Task PingBothWaysAsync(NetworkNamespace space, GuestVm guest)
    {
        Assert.Contains(" 0% packet loss", await guest.AskAsync("ping -c 3 -W 60 192.168.249.1"), StringComparison.Ordinal);
        Assert.Contains(" 0% packet loss", (await space.RunAsync("ping -c 3 -i 0.2 -W 60 192.168.249.2")).Output, StringComparison.Ordinal);
        // More than one page and more than one frame.
        Assert.Contains(" 0% packet loss", (await space.RunAsync("ping -c 2 -s 8000 -i 0.2 -W 60 192.168.249.2")).Output, StringComparison.Ordinal);
    }

    private async Task SendToHostAsync(NetworkNamespace space, GuestVm guest, int bytes)
    {
        await using HostProcess receiver = await Host.StartAsync(
            $"ip netns exec {space.Name} socat -d -d -u TCP-LISTEN:5001,reuseaddr STDOUT | sha256sum");
        await receiver.WaitForAsync("listening on", GuestVm.Patience);
        string sum = await guest.AskAsync(
            $"head -c {bytes} /dev/urandom >/tmp/data && nc 192.168.249.1 5001 </tmp/data && sha256sum </tmp/data && rm /tmp/data");
        await receiver.WaitForAsync(sum, GuestVm.Patience);
    }

    private async Task SendToGuestAsync(NetworkNamespace space, GuestVm guest, int bytes)
    {
        await guest.AskAsync("(nc -l -p 5002 | sha256sum >/tmp/sum) >/dev/null 2>&1 &");
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("data", "0");
        string data = scratch.Path + "/data";
        CommandResult sent = await space.TryRunAsync(
            $"head -c {bytes} /dev/urandom >{data} && timeout 240 socat -u FILE:{data} TCP:192.168.249.2:5002,retry=100,interval=0.3 && sha256sum <{data}");
        if (sent.ExitCode != 0)
        {
            Assert.Fail(await DescribeAsync(space, guest, sent));
        }

        string received = await guest.AskAsync("i=0; while [ ! -s /tmp/sum ] && [ $i -lt 1000 ]; do usleep 200000; i=$((i + 1)); done; cat /tmp/sum");
        Assert.Equal(sent.Output.Trim(), received);
    }

    /// <summary>What both ends and the interface have counted: a transfer that stands still does not say where.</summary>
    private static async Task<string> DescribeAsync(NetworkNamespace space, GuestVm guest, CommandResult sent)
    {
        string text = $"exit code {sent.ExitCode}: {sent.Output}{sent.Error}\nhost: {(await space.TryRunAsync("ss -tinm; ip -s link; nstat")).Output}";
        try
        {
            return $"{text}\nguest: {await guest.AskAsync("netstat -tn; ip -s link; cat /proc/interrupts; ps")}";
        }
        catch (TimeoutException e)
        {
            return $"{text}\nguest: {e.Message}";
        }
    }
}
