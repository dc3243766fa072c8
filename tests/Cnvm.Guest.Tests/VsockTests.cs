using System.Text.RegularExpressions;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>Programs of host and guest talk through virtio-vsock, each checking every byte of the other.</summary>
public abstract partial class VsockTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    /// <summary>Bytes through each of four connections.</summary>
    protected abstract int Bytes { get; }

    /// <summary>Connections at the same time.</summary>
    protected virtual int Many => 1000;

    [GuestFact]
    public async Task Connections_work_both_ways_and_end_with_a_restore()
    {
        await using var scratch = new ScratchDirectory(Host);
        string program = await GuestPrograms.AddToHostAsync(scratch, Host, "vsockcheck");
        string disk = await GuestPrograms.AddDiskAsync(scratch, Host);
        string socket = scratch.Path + "/v.sock";
        string folder = scratch.Path + "/snapshot";
        (await Host.RunAsync($"mkdir {folder}")).OrThrow();
        GuestSetup setup = GuestSetup.Small with { Cpus = 2, Disks = [disk], Flags = $"-v -v --vsock cid=3,socket={socket}" };
        await using HostProcess server = await Host.StartAsync($"{program} serve unix:{socket}_1025");
        await server.WaitForAsync("serving", GuestVm.Patience);
        await using (GuestVm guest = await GuestVm.BootAsync(Host, setup))
        {
            await GuestPrograms.UnpackAsync(guest, "vda");
            await guest.AskAsync("/run/vsockcheck serve vsock:0:1024 >/tmp/served 2>&1 & while ! grep -q serving /tmp/served; do usleep 50000; done");
            await TransferAsync(guest, program, socket, 4, Bytes);
            await TransferAsync(guest, program, socket, Many, 100);

            // Nobody listens: both sides are told at once.
            Assert.Contains("no OK", (await Host.RunAsync($"{program} client hybrid:{socket}:9 1 1", GuestVm.Patience)).Output, StringComparison.Ordinal);
            Assert.Contains("ERROR vsock: Connection reset", (await guest.RunAsync("/run/vsockcheck client vsock:2:9 1 1")).Output, StringComparison.Ordinal);
            await AssertCountersAsync(guest);

            await guest.AskAsync("(/run/vsockcheck hold vsock:2:1025 >/tmp/held 2>&1 &) ; while ! grep -q held /tmp/held; do usleep 50000; done");
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");

            // The machine that goes on keeps its connections.
            await guest.PutAsync("vm.resume");
            await TransferAsync(guest, program, socket, 2, 1000);
            Assert.DoesNotContain("ended", await guest.AskAsync("cat /tmp/held"), StringComparison.Ordinal);
        }

        await using (GuestVm guest = await GuestVm.RestoreAsync(Host, folder))
        {
            // ECONNRESET
            await guest.AskAsync("while ! grep -q 'ended errno=104' /tmp/held; do usleep 50000; done");
            await TransferAsync(guest, program, socket, 4, 10_000);
            await guest.PowerOffAsync();
        }

        // The VMM was killed in between, and the next one took its socket over; nothing of it is left now.
        Assert.Equal("", (await Host.RunAsync($"ls {scratch.Path} | grep '^v.sock' | grep -v _1025 || true")).OrThrow().Output);
    }

    private async Task TransferAsync(GuestVm guest, string program, string socket, int connections, int bytes)
    {
        string end = (await Host.RunAsync($"{program} client hybrid:{socket}:1024 {connections} {bytes}", GuestVm.Patience)).Output;
        output.WriteLine($"host to guest: {end.Trim()}");
        Assert.True(ClientEnd().IsMatch(end), $"{end}\n{await guest.AskAsync("cat /tmp/served; dmesg | tail -n 5")}\n{await guest.ErrorsAsync()}");
        end = await guest.AskAsync($"/run/vsockcheck client vsock:2:1025 {connections} {bytes}");
        output.WriteLine($"guest to host: {end}");
        Assert.True(ClientEnd().IsMatch(end), $"{end}\n{await guest.ErrorsAsync()}");
    }

    private async Task AssertCountersAsync(GuestVm guest)
    {
        var counters = (await guest.GetAsync("vm.counters")).GetProperty("_vsock1");
        Assert.Equal(2 * (4 + Many), counters.GetProperty("connections_opened").GetInt32());
        Assert.Equal(2, counters.GetProperty("connections_refused").GetInt32());
        Assert.Equal(0, counters.GetProperty("connections_reset").GetInt32());
        Assert.True(counters.GetProperty("rx_bytes").GetInt64() > 0 && counters.GetProperty("tx_bytes").GetInt64() > 0);
    }

    [GeneratedRegex(@"vsockcheck: connections=\d+ bytes=\d+ errors=0 milliseconds=\d+")]
    private static partial Regex ClientEnd();
}
