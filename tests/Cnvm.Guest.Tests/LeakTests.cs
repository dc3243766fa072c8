using System.Diagnostics;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>A process that boots guest after guest holds no more at the end than at the start.</summary>
public abstract class LeakTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const int MemoryMiB = 96;
    private const int WarmUp = 3;
    private static readonly TimeSpan SettleLimit = TimeSpan.FromMinutes(2);

    /// <summary>
    /// Heap sizes differ from one collection to the next. A leaked machine would show many times: its threads' stacks, page tables of
    /// its devices and buffers are more than 200 KiB, which 10 reboots make 2 MiB.
    /// </summary>
    protected virtual long RssSlackKiB => 1024;

    [GuestFact]
    public async Task Reboots_leak_nothing()
    {
        int reboots = Soak.IsOn ? 100 : 10;
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "16M");
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        GuestSetup setup = GuestSetup.Small with
        {
            MemoryMiB = MemoryMiB,
            Disks = [$"path={scratch.Path}/disk,image_type=raw"],
            Net = "tap=tap0",
            NetworkNamespace = space.Name,
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await RebootAsync(guest, WarmUp);
        Footprint before = await Footprint.OfAsync(Host, guest, MemoryMiB);
        output.WriteLine($"after {WarmUp} reboots: {before}");

        await RebootAsync(guest, reboots);

        Footprint after = await AssertNoGrowthAsync(before, guest);
        output.WriteLine($"after {reboots} more: {after}");
        Assert.Equal(WarmUp + reboots, (await guest.EventsAsync()).Count(e => e == "vm:rebooted"));
        await guest.PowerOffAsync();
    }

    [GuestFact]
    public async Task Creating_and_deleting_machines_leaks_nothing()
    {
        const int Cycles = 8;
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "16M");
        await using GuestVm guest = await GuestVm.StartAsync(Host);
        Footprint? before = null;
        for (int i = 1; i <= WarmUp + Cycles; i++)
        {
            await guest.PutAsync("vm.create", Config(scratch.Path));
            await guest.PutAsync("vm.boot");
            await guest.WaitForAsync(GuestVm.Ready);
            if (i == WarmUp)
            {
                before = await Footprint.OfAsync(Host, guest, MemoryMiB);
                output.WriteLine($"cycle {i}: {before}");
            }
            else if (i == WarmUp + Cycles)
            {
                output.WriteLine($"cycle {i}: {await AssertNoGrowthAsync(before!, guest)}");
            }

            await guest.PutAsync("vm.shutdown");
            await guest.PutAsync("vm.delete");
        }

        await guest.PutAsync("vmm.shutdown");
        await guest.AssertEndAsync();
    }

    /// <summary>
    /// What ends by itself may still be there: a connection whose client is gone, a thread of the pool that has nothing to do (it ends
    /// after 20 s).
    /// </summary>
    private async Task<Footprint> AssertNoGrowthAsync(Footprint before, GuestVm guest)
    {
        var clock = Stopwatch.StartNew();
        Footprint after = await Footprint.OfAsync(Host, guest, MemoryMiB);
        while (HasGrown() && clock.Elapsed < SettleLimit)
        {
            await Task.Delay(TimeSpan.FromSeconds(1));
            after = await Footprint.OfAsync(Host, guest, MemoryMiB);
        }

        Assert.False(HasGrown(), $"before: {before}\nafter: {after}\n{after.Largest}");
        return after;

        bool HasGrown() =>
            after.Descriptors > before.Descriptors || after.Threads > before.Threads || after.RssKiB > before.RssKiB + RssSlackKiB;
    }

    private static async Task RebootAsync(GuestVm guest, int times)
    {
        for (int i = 0; i < times; i++)
        {
            await guest.PutAsync("vm.reboot");
            await guest.WaitForAsync(GuestVm.Ready);
        }
    }

    private static string Config(string scratch) => $$$"""
        {"cpus": {"boot_vcpus": 2, "max_vcpus": 2}, "memory": {"size": {{{MemoryMiB * 1024L * 1024}}}},
         "payload": {"kernel": "{{{Nested.Repository.Image("vmlinux-small")}}}", "initramfs": "{{{Nested.Repository.Image("initramfs.cpio")}}}",
                     "cmdline": "console=ttyS0 quiet panic=-1"},
         "disks": [{"path": "{{{scratch}}}/disk", "image_type": "Raw"}],
         "serial": {"mode": "Tty"}, "console": {"mode": "Off"}}
        """;
}
