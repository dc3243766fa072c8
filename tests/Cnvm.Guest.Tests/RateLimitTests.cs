using System.Diagnostics;
using System.Text.Json;

namespace Cnvm.Guest.Tests;

/// <summary>A guest's disks take the time that their limits say.</summary>
public abstract class RateLimitTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    [GuestFact]
    public async Task Disks_keep_to_limits_of_their_own_and_of_their_group()
    {
        await using var scratch = new ScratchDirectory(Host);
        foreach (string name in new[] { "a", "b", "c" })
        {
            await scratch.MakeFileAsync(name, "8M");
        }

        // 2 MiB a second each, after 1 MiB at once.
        GuestSetup setup = GuestSetup.Small with
        {
            Disks =
            [
                $"path={scratch.Path}/a,image_type=raw,bw_size=1M,bw_refill_time=500",
                $"path={scratch.Path}/b,image_type=raw,rate_limit_group=both",
                $"path={scratch.Path}/c,image_type=raw,rate_limit_group=both,queue_affinity=[0@[0]]",
            ],
            Flags = "--rate-limit-group id=both,bw_size=1M,bw_refill_time=500 --watchdog",
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await AssertTakesAsync(guest, 1.3, "dd if=/dev/vda of=/dev/null bs=64k count=64 iflag=direct");
        await AssertTakesAsync(
            guest, 1.3, "dd if=/dev/zero of=/dev/vdb bs=64k count=32 oflag=direct & dd if=/dev/zero of=/dev/vdc bs=64k count=32 oflag=direct; wait");
        JsonElement counters = await guest.GetAsync("vm.counters");
        Assert.All(
            new[] { "_disk0", "_disk1", "_disk2" },
            disk => Assert.True(counters.GetProperty(disk).GetProperty("rate_limiter_waits").GetInt64() > 0, disk));
        await ResizeAsync(guest, scratch);

        // Linux has no driver for the watchdog, and sees it all the same; it does nothing to a guest that does not use it.
        Assert.Equal("0x0023", await guest.AskAsync("grep -h 0x0023 /sys/bus/virtio/devices/*/device"));
        await guest.PowerOffAsync();
    }

    /// <summary>The guest sees a new size at once, can use what has come, and is refused what has gone.</summary>
    private async Task ResizeAsync(GuestVm guest, ScratchDirectory scratch)
    {
        await guest.PutAsync("vm.resize-disk", """{"id":"_disk2","desired_size":12582912}""");
        await guest.AskAsync("while [ $(cat /sys/block/vdc/size) != 24576 ]; do usleep 50000; done");
        await guest.AskAsync("echo behind | dd of=/dev/vdc bs=512 seek=24575 conv=sync,fsync");
        Assert.Equal("behind\n", (await Host.RunAsync($"tail -c 512 {scratch.Path}/c | tr -d '\\0 '")).OrThrow().Output);
        await guest.PutAsync("vm.resize-disk", """{"id":"_disk2","desired_size":4194304}""");
        await guest.AskAsync("while [ $(cat /sys/block/vdc/size) != 8192 ]; do usleep 50000; done");
        Assert.NotEqual(0, (await guest.RunAsync("dd if=/dev/zero of=/dev/vdc bs=512 seek=8192 count=1 oflag=direct")).ExitCode);
        Assert.Equal("4194304\n", (await Host.RunAsync($"stat -c %s {scratch.Path}/c")).OrThrow().Output);
    }

    /// <summary>4 MiB take 1.5 seconds, less one request; how much longer depends on who else works here.</summary>
    private static async Task AssertTakesAsync(GuestVm guest, double seconds, string command)
    {
        long start = Stopwatch.GetTimestamp();
        await guest.AskAsync(command);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, seconds, 100);
    }
}
