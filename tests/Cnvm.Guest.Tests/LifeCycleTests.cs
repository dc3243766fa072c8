using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>What the REST socket, and the guest itself, do to a running machine.</summary>
public abstract partial class LifeCycleTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private static string SmallConfig => $$$"""
        {"cpus": {"boot_vcpus": 1, "max_vcpus": 1}, "memory": {"size": 268435456},
         "payload": {"kernel": "{{{Repository.Image("vmlinux-small")}}}", "initramfs": "{{{Repository.Image("initramfs.cpio")}}}",
                     "cmdline": "console=ttyS0 quiet panic=-1"},
         "serial": {"mode": "Tty"}, "console": {"mode": "Off"}}
        """;

    [GuestFact]
    public async Task Every_request_of_the_life_cycle_works()
    {
        await using GuestVm guest = await GuestVm.StartAsync(Host);

        Assert.Equal(guest.ProcessId, (await guest.GetAsync("vmm.ping")).GetProperty("pid").GetInt32());
        await guest.CallAsync("GET", "vm.info", status: 404);
        await guest.PutAsync("vm.create", SmallConfig);
        Assert.Equal("Created", await guest.StateAsync());
        await guest.PutAsync("vm.create", SmallConfig, status: 500);
        await guest.PutAsync("vm.pause", status: 500);

        await guest.PutAsync("vm.boot");
        await guest.WaitForShellAsync();
        Assert.Equal("Running", await guest.StateAsync());
        await guest.PutAsync("vm.boot", status: 500);

        await guest.PutAsync("vm.pause");
        Assert.Equal("Paused", await guest.StateAsync());
        await guest.PutAsync("vm.resume");
        Assert.Equal("Running", await guest.StateAsync());
        Assert.Equal("2", await guest.AskAsync("echo $((1 + 1))"));

        await guest.PutAsync("vm.reboot");
        await guest.WaitForShellAsync();
        Assert.Equal(guest.ProcessId, (await guest.GetAsync("vmm.ping")).GetProperty("pid").GetInt32());

        await guest.PutAsync("vm.shutdown");
        Assert.Equal("Shutdown", await guest.StateAsync());
        await guest.PutAsync("vm.boot");
        await guest.WaitForShellAsync();

        await guest.PutAsync("vm.delete");
        await guest.CallAsync("GET", "vm.info", status: 404);
        await guest.PutAsync("vm.create", SmallConfig);
        await guest.PutAsync("vm.boot");
        await guest.WaitForShellAsync();

        await guest.PutAsync("vmm.shutdown");
        await guest.AssertEndAsync();
    }

    /// <summary>
    /// One loop prints a number and the guest's uptime, one keeps the second processor busy. Over a pause the numbers go on without a
    /// gap, and so does the uptime (CLOCK_BOOTTIME here, the clock that may least of all stand still).
    /// </summary>
    [GuestFact]
    public async Task A_paused_guest_stands_still_and_so_does_its_clock()
    {
        const int PausedSeconds = 12;
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Cpus = 2 });
        await guest.AskAsync(
            "while :; do :; done & echo $! >/tmp/busy; (i=0; while :; do read u r </proc/uptime; echo \"count-$i:$u;\"; i=$((i + 1)); usleep 100000; done) >/dev/ttyS0 & echo $! >/tmp/printer");
        await guest.WaitForAsync("count-5:");

        await guest.PutAsync("vm.pause");
        // What the guest wrote before the pause has come through when a whole round trip has.
        await guest.StateAsync();
        string console = guest.Console;
        long cpu = await CpuTicksAsync(guest);
        (await Host.RunAsync($"sleep {PausedSeconds}")).OrThrow();
        Assert.Equal(console, guest.Console);
        Assert.InRange(await CpuTicksAsync(guest) - cpu, 0, PausedSeconds * 100 / 10);
        await guest.PutAsync("vm.resume");

        int last = Counts(console)[^1].Number;
        await guest.WaitForAsync($"count-{last + 5}:");
        await guest.AskAsync("kill $(cat /tmp/busy /tmp/printer)");
        List<(int Number, double Uptime)> counts = Counts(guest.Console);
        Assert.Equal(Enumerable.Range(0, counts.Count), counts.Select(c => c.Number));
        double[] gaps = [.. counts.Skip(1).Zip(counts, (later, earlier) => later.Uptime - earlier.Uptime)];
        output.WriteLine($"uptime over a pause of {PausedSeconds} s went on by {gaps[last]:F2} s; otherwise by {gaps.Min():F2} to {gaps.Where((_, i) => i != last).Max():F2} s");
        Assert.All(gaps, gap => Assert.InRange(gap, 0, PausedSeconds / 2.0));
        Assert.Equal("0", await guest.AskAsync("dmesg | grep -ciE 'soft lockup|hung task|rcu.*stall' || true"));
        await guest.PowerOffAsync();
    }

    [GuestTheory]
    [InlineData("reboot", "cloud")]
    [InlineData("reboot", "microvm")]
    [InlineData("echo b >/proc/sysrq-trigger", "cloud")]
    [InlineData("echo b >/proc/sysrq-trigger", "microvm")]
    public async Task A_reset_by_the_guest_starts_it_again_in_the_same_process(string command, string machine)
    {
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Machine = machine, Cpus = 2 });
        await guest.AskAsync("touch /tmp/before");

        await guest.TypeAsync(command);
        await guest.WaitForShellAsync();

        Assert.Equal("gone", await guest.AskAsync("test -e /tmp/before || echo gone"));
        Assert.Equal(guest.ProcessId, (await guest.GetAsync("vmm.ping")).GetProperty("pid").GetInt32());
        Assert.Contains("vm:rebooted", await guest.EventsAsync());
        await guest.PowerOffAsync();
    }

    /// <summary>reboot=t makes the kernel load an empty interrupt table and trap (Documentation/admin-guide/kernel-parameters).</summary>
    [GuestFact]
    public async Task A_triple_fault_is_a_reset()
    {
        GuestSetup setup = GuestSetup.Small with { Cmdline = GuestSetup.Small.Cmdline + " reboot=t,force", Flags = "-v" };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);

        await guest.TypeAsync("reboot");
        await guest.WaitForShellAsync();

        Assert.Contains("triple fault on vcpu0", await guest.ErrorsAsync(), StringComparison.Ordinal);
        await guest.PowerOffAsync();
    }

    [GuestTheory]
    [InlineData("small", "cloud")]
    [InlineData("small", "microvm")]
    [InlineData("debian", "cloud")]
    public async Task The_power_button_turns_the_guest_off(string kernel, string machine)
    {
        GuestSetup setup = kernel == "debian" ? GuestSetup.Debian with { MemoryMiB = 512, Cpus = 2 } : GuestSetup.Small;
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup with { Machine = machine });

        await guest.PutAsync("vm.power-button");
        await guest.AssertEndAsync();
    }

    [GuestFact]
    public async Task A_panic_is_an_event_and_its_reset_starts_the_guest_again()
    {
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Flags = "--pvpanic" });

        await guest.TypeAsync("echo c >/proc/sysrq-trigger");
        await guest.WaitForShellAsync();

        IReadOnlyList<string> events = await guest.EventsAsync();
        Assert.Contains("guest:panic", events);
        Assert.True(events.ToList().IndexOf("guest:panic") < events.ToList().IndexOf("vm:rebooted"), string.Join(' ', events));
        await guest.PowerOffAsync();
    }

    [GuestFact]
    public async Task An_nmi_reaches_every_vcpu()
    {
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Cpus = 2 });
        int[] before = await NmisAsync(guest);

        await guest.PutAsync("vm.nmi");
        await guest.PutAsync("vm.nmi");

        int[] after = await NmisAsync(guest);
        Assert.Equal(2, after.Length);
        Assert.All(before.Zip(after), pair => Assert.Equal(pair.First + 2, pair.Second));
        await guest.PowerOffAsync();
    }

    [GuestFact]
    public async Task Counters_count_what_the_guest_does()
    {
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "64M");
        await using GuestVm guest = await GuestVm.BootAsync(
            Host, GuestSetup.Small with { Disks = [$"path={scratch.Path}/disk,image_type=raw,id=scratch"] });
        JsonElement before = (await guest.GetAsync("vm.counters")).GetProperty("scratch");

        await guest.AskAsync("dd if=/dev/zero of=/dev/vda bs=65536 count=16 conv=fsync; echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda of=/dev/null bs=65536 count=32");

        JsonElement after = (await guest.GetAsync("vm.counters")).GetProperty("scratch");
        Assert.Equal(16 * 65536UL, Difference("write_bytes"));
        Assert.InRange(Difference("read_bytes"), 16 * 65536UL, 64 * 65536UL);
        Assert.InRange(Difference("write_ops"), 1UL, 256UL);
        Assert.InRange(after.GetProperty("read_latency_avg").GetUInt64(), after.GetProperty("read_latency_min").GetUInt64(), after.GetProperty("read_latency_max").GetUInt64());
        await guest.PowerOffAsync();

        ulong Difference(string name) => after.GetProperty(name).GetUInt64() - before.GetProperty(name).GetUInt64();
    }

    /// <summary>SIGTERM ends the VMM in order whatever the guest does.</summary>
    [GuestFact]
    public async Task A_signal_ends_everything_in_order()
    {
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Cpus = 2 });
        await guest.AskAsync("while :; do :; done &");

        (await Host.RunAsync($"kill -TERM {guest.ProcessId}")).OrThrow();

        await guest.AssertEndAsync();
    }

    private static List<(int Number, double Uptime)> Counts(string console) =>
    [
        .. CountLine().Matches(console).Select(m => (int.Parse(m.Groups[1].Value), double.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture))),
    ];

    [GeneratedRegex(@"count-(\d+):([\d.]+);")]
    private static partial Regex CountLine();

    /// <summary>Processor time of the VMM in hundredths of a second.</summary>
    private async Task<long> CpuTicksAsync(GuestVm guest) =>
        long.Parse((await Host.RunAsync($"awk '{{ sub(/.*\\) /, \"\"); print $12 + $13 }}' /proc/{guest.ProcessId}/stat")).OrThrow().Output);

    private static async Task<int[]> NmisAsync(GuestVm guest) =>
        [.. (await guest.AskAsync("grep NMI: /proc/interrupts")).Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).TakeWhile(w => char.IsAsciiDigit(w[0])).Select(int.Parse)];
}
