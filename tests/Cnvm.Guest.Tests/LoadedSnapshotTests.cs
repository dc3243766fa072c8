using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>
/// Guests are saved and restored while they work, and everything that they do checks itself: memory and arithmetic, vector registers across
/// system calls, clocks and timers, a TCP stream, and, in Debian guests, a disk under fio.
/// </summary>
public abstract partial class LoadedSnapshotTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const string Address = "192.168.249.";
    private const int StreamBlocks = 100;

    /// <summary>The guests of the long form, a test each: who loses a host there begins one of them anew, and not all.</summary>
    private protected static TheoryData<string, int> All => new() { { "debian", 1 }, { "debian", 2 }, { "debian", 4 }, { "small", 4 } };

    /// <summary>Boots a guest, gives it its work, has it saved and restored meanwhile, and checks what came of it.</summary>
    /// <param name="pulses">How often that happens.</param>
    /// <param name="cpuKeys">Further keys of --cpus.</param>
    /// <param name="move">Saves and restores, once; returns the guest as it goes on, in another process perhaps. Null: pulses.</param>
    private protected async Task RunAsync(
        string kernel, int cpus, int pulses, string cpuKeys = "", Func<GuestVm, ScratchDirectory, string, int, Task<GuestVm>>? move = null)
    {
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "24M");
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        // The interface stays when the machine is thrown away, and so does a connection of the host.
        await space.RunAsync($"ip tuntap add dev tap0 mode tap vnet_hdr && ip address add {Address}1/24 dev tap0 && ip link set tap0 up");
        bool isDebian = kernel == "debian";
        GuestSetup setup = (isDebian ? GuestSetup.Debian : GuestSetup.Small) with
        {
            Cpus = cpus,
            CpuKeys = cpuKeys,
            MemoryMiB = isDebian ? 512 : 256,
            Net = "tap=tap0,mac=52:54:00:12:34:58",
            NetworkNamespace = space.Name,
            Pulses = false,
        };
        setup = setup with { Disks = [.. setup.Disks, await GuestPrograms.AddDiskAsync(scratch, Host), $"path={scratch.Path}/disk,image_type=raw"] };
        GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await using var owner = new Latest(() => guest);
        char first = isDebian ? 'b' : 'a';
        await GuestPrograms.UnpackAsync(guest, $"vd{first}");
        string device = await guest.AskAsync("ls /sys/class/net | grep -v lo");
        await guest.AskAsync($"ip address replace {Address}2/24 dev {device} && ip link set {device} up && ping -c 1 -W 60 {Address}1");

        // Over changes of hypervisor no single process tells how long the machine stood still.
        HeldClocks? clocks = move is null ? await HeldClocks.StartAsync(Host, guest) : null;
        await using HostProcess receiver = await Host.StartAsync(
            $"ip netns exec {space.Name} socat -d -d -u TCP-LISTEN:5003,reuseaddr STDOUT | sha256sum");
        await receiver.WaitForAsync("listening on", GuestVm.Patience);
        string connect = isDebian ? $"socat -u STDIN TCP:{Address}1:5003" : $"nc {Address}1 5003";
        string sleep = isDebian ? "sleep 0.05" : "usleep 50000";
        string sum = await guest.AskAsync($"head -c {StreamBlocks * 65536} /dev/urandom >/run/data; sha256sum </run/data");
        await guest.AskAsync(
            $"(i=0; while [ $i -lt {StreamBlocks} ]; do dd if=/run/data bs=64k skip=$i count=1 2>/dev/null; {sleep}; i=$((i+1)); done | {connect}; echo $? >/run/stream.end) >/dev/null 2>&1 &");
        if (isDebian)
        {
            await guest.AskAsync(
                $"(while [ ! -e /run/stop ]; do fio --name=verify --filename=/dev/vd{(char)(first + 1)} --size=8M --bs=4k --rw=randwrite --verify=crc32c --ioengine=psync --direct=1 --minimal >/run/fio.log 2>&1 || echo bad; echo round; done >/run/fio.end 2>&1) >/dev/null 2>&1 &");
        }

        int seconds = Math.Max(6, pulses * 3 / 4);
        await guest.AskAsync($"(/run/steady {seconds} >/run/steady.log 2>&1; touch /run/steady.end) >/dev/null 2>&1 &");
        await guest.AskAsync($"(/run/selfcheck run {seconds} {cpus} >/run/selfcheck.log 2>&1; touch /run/selfcheck.end) >/dev/null 2>&1 &");
        for (int i = 0; i < pulses; i++)
        {
            if (move is null)
            {
                await guest.PulseAsync();
            }
            else
            {
                guest = await move(guest, scratch, space.Name, i);
            }
        }

        await guest.AskAsync("while [ ! -e /run/steady.end ] || [ ! -e /run/selfcheck.end ] || [ ! -e /run/stream.end ]; do sleep 1; done; touch /run/stop; " + (isDebian ? "wait" : "true"));
        string drift = clocks is null ? "" : await clocks.EndAsync(2 * pulses) + "\n";
        string steady = await guest.AskAsync("tail -n 20 /run/steady.log");
        string selfcheck = await guest.AskAsync("tail -n 20 /run/selfcheck.log");
        output.WriteLine($"{Host.Hypervisor} {kernel} {cpus} vCPUs, {2 * pulses} snapshots\n{drift}{steady}\n{selfcheck}");
        Assert.Matches(SelfCheckEnd(), selfcheck);
        Match end = SteadyEnd().Match(steady);
        Assert.True(end.Success, steady);
        // What two readings on a busy machine, and each of the restores, may put between clocks.
        Assert.InRange(Number("tsc"), 0, 20_000 + (100 * pulses));
        Assert.InRange(Number("realtime"), 0, 20_000 + (100 * pulses));
        Assert.Equal("0", await guest.AskAsync("cat /run/stream.end"));
        await receiver.WaitForAsync(sum.Split(' ')[0], GuestVm.Patience);
        if (isDebian)
        {
            string fio = await guest.AskAsync("cat /run/fio.end; cat /run/fio.log");
            Assert.Contains("round", fio, StringComparison.Ordinal);
            Assert.DoesNotContain("bad", fio, StringComparison.Ordinal);
        }

        Assert.Equal("", await guest.AskAsync("dmesg | grep -iE 'soft lockup|hung task|rcu.*stall|Oops|BUG:|marked unstable' || true"));
        await guest.PowerOffAsync();

        int Number(string name) => int.Parse(end.Groups[name].Value, CultureInfo.InvariantCulture);
    }

    /// <summary>Disposes the guest that there is at the end, whichever process it lives in by then.</summary>
    private sealed class Latest(Func<GuestVm> guest) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => guest().DisposeAsync();
    }

    [GeneratedRegex(@"selfcheck: checks=\d{3,} errors=0 rounds=[1-9]")]
    private static partial Regex SelfCheckEnd();

    [GeneratedRegex(@"steady: checks=\d{3,} errors=0 elapsed_ms=\d+ tsc_apart_us=(?<tsc>\d+) realtime_apart_us=(?<realtime>\d+)")]
    private static partial Regex SteadyEnd();
}
