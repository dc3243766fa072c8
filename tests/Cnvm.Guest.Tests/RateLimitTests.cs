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
                $"path={scratch.Path}/a,bw_size=1M,bw_refill_time=500",
                $"path={scratch.Path}/b,rate_limit_group=both",
                $"path={scratch.Path}/c,rate_limit_group=both",
            ],
            Flags = "--rate-limit-group id=both,bw_size=1M,bw_refill_time=500",
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await AssertTakesAsync(guest, 1.3, "dd if=/dev/vda of=/dev/null bs=64k count=64 iflag=direct");
        await AssertTakesAsync(
            guest, 1.3, "dd if=/dev/zero of=/dev/vdb bs=64k count=32 oflag=direct & dd if=/dev/zero of=/dev/vdc bs=64k count=32 oflag=direct; wait");
        JsonElement counters = await guest.GetAsync("vm.counters");
        Assert.All(
            new[] { "_disk0", "_disk1", "_disk2" },
            disk => Assert.True(counters.GetProperty(disk).GetProperty("rate_limiter_waits").GetInt64() > 0, disk));
        await guest.PowerOffAsync();
    }

    /// <summary>4 MiB take 1.5 seconds, less one request; how much longer depends on who else works here.</summary>
    private static async Task AssertTakesAsync(GuestVm guest, double seconds, string command)
    {
        long start = Stopwatch.GetTimestamp();
        await guest.AskAsync(command);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, seconds, 100);
    }
}
