using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// A TCP connection each way between the guest and a third party, which live from the start to the end: as much as the guest can send, and 40 kB at a
/// time to the guest. Both ends make a checksum of every byte.
/// </summary>
internal sealed partial class StreamLoad(GuestHost host, JoinedNetworks networks) : MigrationLoad("net")
{
    private const int ToThird = 5003;
    private const int ToGuest = 5004;

    // Less than this in either direction would be no stream.
    private const int LeastBytes = 400_000;

    private HostProcess? _receiver;
    private HostProcess? _sender;

    public override async Task StartAsync(GuestVm guest)
    {
        // The interface must be up; an address that it has already does no harm.
        await guest.AskAsync(JoinedNetworks.SetUpGuest);
        await guest.AskAsync("rm -f /tmp/net-*; mkfifo /tmp/net-sums; head -c 262144 /dev/urandom >/tmp/net-data");
        string inside = $"ip netns exec {networks.Third.Name}";
        _receiver = await host.StartAsync($"{inside} socat -d -d -u TCP-LISTEN:{ToThird},reuseaddr STDOUT | tee >(wc -c >&2) | sha256sum");
        await _receiver.WaitForAsync("listening on", GuestVm.Patience);
        await guest.AskAsync(
            "(sha256sum </tmp/net-sums >/tmp/net-sent) >/dev/null 2>&1 & "
            + $"((while [ ! -e /tmp/net-stop ]; do cat /tmp/net-data; done) | tee /tmp/net-sums | nc {JoinedNetworks.ThirdAddress} {ToThird}; echo $? >/tmp/net-code) >/dev/null 2>&1 &");
        await guest.AskAsync($"(nc -l -p {ToGuest} | sha256sum >/tmp/net-received) >/dev/null 2>&1 &");

        // It sends until its own input ends.
        _sender = await host.StartAsync(
            $"(while read -r -t 0.05 line; [ $? -gt 128 ]; do head -c 40000 /dev/urandom; done) | tee >(sha256sum >&2) >(wc -c >&2)"
            + $" | {inside} socat -u - TCP:{JoinedNetworks.GuestAddress}:{ToGuest},retry=200,interval=0.3");
        await guest.AskAsync(
            $"f=/sys/class/net/eth0/statistics/rx_bytes; n=$(($(cat $f) + {LeastBytes})); i=0; while [ $(cat $f) -lt $n ] && [ $i -lt 2000 ]; do usleep 100000; i=$((i+1)); done; [ $i -lt 2000 ]");
    }

    public override async Task<string> EndAsync(GuestVm guest)
    {
        // Its end stays there to be read, unlike a line that comes in the moment in which reading one times out.
        _sender!.CloseInput();
        Assert.True(await _sender.WaitForExitAsync(GuestVm.Patience) == 0, _sender.Output);
        string received = await guest.AskAsync(
            "touch /tmp/net-stop; i=0; while [ ! -s /tmp/net-received ] || [ ! -s /tmp/net-sent ] || [ ! -s /tmp/net-code ]; do usleep 100000; i=$((i+1)); [ $i -lt 2000 ] || break; done; "
            + "cat /tmp/net-received; echo; cat /tmp/net-sent; echo; cat /tmp/net-code");
        Assert.True(await _receiver!.WaitForExitAsync(GuestVm.Patience) == 0, _receiver.Output);
        string[] sums = [.. Sum().Matches(received).Select(m => m.Value)];
        Assert.True(sums.Length == 2 && received.EndsWith("\n0", StringComparison.Ordinal), received);
        Assert.Equal((SumOf(_sender), sums[1]), (sums[0], SumOf(_receiver)));
        return string.Create(CultureInfo.InvariantCulture, $"{Mebibytes(_receiver):F1} MiB sent, {Mebibytes(_sender):F1} MiB received");
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (HostProcess? process in (HostProcess?[])[_sender, _receiver])
        {
            if (process is not null)
            {
                await host.CleanUpAsync(() => process.DisposeAsync().AsTask());
            }
        }

        await base.DisposeAsync();
    }

    private static string SumOf(HostProcess process)
    {
        Match sum = Sum().Match(process.Output);
        Assert.True(sum.Success, process.Output);
        return sum.Value;
    }

    private static double Mebibytes(HostProcess process)
    {
        Match count = Count().Match(process.Output);
        Assert.True(count.Success, process.Output);
        long bytes = long.Parse(count.Value, CultureInfo.InvariantCulture);
        Assert.InRange(bytes, LeastBytes, long.MaxValue);
        return bytes / (double)(1 << 20);
    }

    [GeneratedRegex(@"\b[0-9a-f]{64}\b")]
    private static partial Regex Sum();

    [GeneratedRegex(@"^\d+\r?$", RegexOptions.Multiline)]
    private static partial Regex Count();
}
