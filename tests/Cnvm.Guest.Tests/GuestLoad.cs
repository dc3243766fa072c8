using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>What keeps a guest busy while it is saved or moved, and shows afterwards that nothing was lost.</summary>
internal static class GuestLoad
{
    /// <summary>A counter that never stops, and random bytes whose sum is known.</summary>
    public static async Task StartAsync(GuestVm vm)
    {
        await vm.AskAsync("dd if=/dev/urandom of=/tmp/random bs=64k count=16 && md5sum /tmp/random >/tmp/sum");
        await vm.TypeAsync("(i=0; while :; do i=$((i+1)); echo $i >/tmp/new; mv /tmp/new /tmp/count; done) &");
        Assert.True(await CountAsync(vm) >= 0);
    }

    /// <summary>How far it has counted. A guest that was reset has lost what it was given, and says so rather than wait for it.</summary>
    public static async Task<long> CountAsync(GuestVm vm)
    {
        string count = await vm.AskAsync("while [ ! -s /tmp/count ]; do [ -e /tmp/sum ] || break; done; cat /tmp/count || echo reset");
        Assert.True(
            long.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out long value), $"{count}\n{await vm.ErrorsAsync()}\n{vm.Console}");
        return value;
    }

    /// <summary>It counts on, its bytes are what they were, and its timers fire.</summary>
    public static async Task AssertGoesOnAsync(GuestVm vm, int cpus)
    {
        long first = await CountAsync(vm);
        Assert.Equal(0, (await vm.RunAsync($"while [ $(cat /tmp/count) -le {first} ]; do :; done")).ExitCode);
        Assert.Equal("/tmp/random: OK", await vm.AskAsync("md5sum -c /tmp/sum"));
        Assert.Equal(cpus.ToString(CultureInfo.InvariantCulture), await vm.AskAsync("nproc"));

        // Timers fire: a second takes about a second of the guest's own time.
        string[] times = (await vm.AskAsync("cat /proc/uptime; sleep 1; cat /proc/uptime")).Split('\n');
        Assert.InRange(Uptime(times[1]) - Uptime(times[0]), 0.9, 20);
    }

    private static double Uptime(string line) => double.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture);
}
