using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>TCP between a guest and programs in a network namespace, compared by checksum.</summary>
internal sealed class NetTraffic(GuestHost host, NetworkNamespace space, GuestVm guest)
{
    /// <param name="address">The namespace's, for the guest.</param>
    public async Task ToHostAsync(string address, int bytes)
    {
        await using HostProcess receiver = await host.StartAsync(
            $"ip netns exec {space.Name} socat -d -d -u TCP-LISTEN:5001,reuseaddr STDOUT | sha256sum");
        await receiver.WaitForAsync("listening on", GuestVm.Patience);
        string sum = await guest.AskAsync(
            $"head -c {bytes} /dev/urandom >/tmp/data && nc {address} 5001 </tmp/data && sha256sum </tmp/data && rm /tmp/data");
        await receiver.WaitForAsync(sum, GuestVm.Patience);
    }

    /// <param name="address">The guest's, for the namespace.</param>
    public async Task ToGuestAsync(string address, int bytes)
    {
        // Its input never ends: a receiver that closes its own direction at once is where Debian 12's passt stops sending.
        await guest.AskAsync("[ -p /tmp/open ] || mkfifo /tmp/open; (nc -l -p 5002 <>/tmp/open | sha256sum >/tmp/sum) >/dev/null 2>&1 &");
        await using var scratch = new ScratchDirectory(host);
        await scratch.MakeFileAsync("data", "0");
        string data = scratch.Path + "/data";
        CommandResult sent = await space.TryRunAsync(
            $"head -c {bytes} /dev/urandom >{data} && timeout 240 socat -u FILE:{data} TCP:{address}:5002,retry=100,interval=0.3 && sha256sum <{data}");
        if (sent.ExitCode != 0)
        {
            Assert.Fail(await DescribeAsync(sent));
        }

        string received = await guest.AskAsync("i=0; while [ ! -s /tmp/sum ] && [ $i -lt 1000 ]; do usleep 200000; i=$((i + 1)); done; cat /tmp/sum");
        Assert.Equal(sent.Output.Trim(), received);
    }

    /// <summary>What both ends and the interface have counted: a transfer that stands still does not say where.</summary>
    private async Task<string> DescribeAsync(CommandResult sent)
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
