using System.Globalization;
using System.Text.Json;

namespace Cnvm.Guest.Tests;

/// <summary>virtio-balloon with a real driver: memory goes to the host and comes back, and nothing else is lost.</summary>
public abstract class BalloonTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private const long Mib = 1 << 20;
    private const int PollMilliseconds = 200;

    /// <summary>Whether the RAM is a memory file, or private memory that is restored on demand.</summary>
    protected abstract bool IsShared { get; }

    [GuestFact]
    public async Task Memory_goes_to_the_host_and_comes_back()
    {
        await using var scratch = new ScratchDirectory(Host);
        string folder = scratch.Path + "/snapshot";
        (await Host.RunAsync($"mkdir -p {folder}")).OrThrow();
        GuestSetup setup = GuestSetup.Small with
        {
            MemoryMiB = 512,
            MemoryKeys = IsShared ? ",shared=on,thp=off" : ",thp=off",
            Flags = "--balloon size=32M,free_page_reporting=on,statistics=on",

            // What is measured is the memory of a process that has booted one machine.
            Pulses = false,
        };
        await using (GuestVm guest = await GuestVm.BootAsync(Host, setup))
        {
            await WaitForActualAsync(guest, 480);
            await guest.AskAsync("dd if=/dev/urandom of=/tmp/keep bs=64k count=64 && md5sum /tmp/keep >/tmp/sum");

            // Pages that the guest frees go back by themselves.
            long before = await ResidentKiBAsync(guest);
            await guest.AskAsync("for i in $(seq 20); do cat /tmp/keep; done >/tmp/large");
            Assert.True(await ResidentKiBAsync(guest) > before + (60 << 10));
            await guest.AskAsync("rm /tmp/large");
            await WaitForResidentAsync(guest, before + (30 << 10));
            Assert.True(await CounterAsync(guest, "reported_bytes") >= 40 * Mib);

            // The balloon takes what it is asked for, out of what the guest has.
            Assert.True(await CounterAsync(guest, "inflated_bytes") >= 32 * Mib);
            await guest.PutAsync("vm.resize", $$"""{"desired_balloon":{{256 * Mib}}}""");
            await WaitForActualAsync(guest, 256);
            Assert.InRange(await FreeMiBAsync(guest), 100, 256);
            await guest.PutAsync("vm.resize", $$"""{"desired_balloon":{{600 * Mib}}}""", status: 400);
            Assert.InRange(await CounterAsync(guest, "guest_total_memory"), 100 * Mib, 512 * Mib);
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
        }

        // What the balloon holds is not in the snapshot, and the guest gets it back in another process.
        string size = (await Host.RunAsync($"du -sm {folder} | cut -f1")).OrThrow().Output;
        Assert.InRange(int.Parse(size, CultureInfo.InvariantCulture), 1, 200);
        string mode = IsShared ? "" : ",memory_restore_mode=ondemand";
        await using (GuestVm guest = await GuestVm.RestoreAsync(Host, folder, mode))
        {
            await WaitForActualAsync(guest, 256);
            await guest.PutAsync("vm.resize", """{"desired_balloon":0}""");
            await WaitForActualAsync(guest, 512);
            Assert.True(await FreeMiBAsync(guest) > 300);
            await guest.AskAsync("md5sum -c /tmp/sum && for i in $(seq 50); do cat /tmp/keep; done >/tmp/large && tail -c 4194304 /tmp/large | cmp - /tmp/keep");
            await guest.PowerOffAsync();
        }
    }

    private static async Task WaitForActualAsync(GuestVm guest, long mib)
    {
        DateTime end = DateTime.UtcNow + GuestVm.Patience;
        long actual;
        do
        {
            Assert.True(DateTime.UtcNow < end, $"memory_actual_size does not become {mib} MiB\n{guest.Console}");
            await Task.Delay(PollMilliseconds);
            actual = (await guest.GetAsync("vm.info")).GetProperty("memory_actual_size").GetInt64();
        }
        while (actual != mib * Mib);
    }

    private async Task WaitForResidentAsync(GuestVm guest, long kib)
    {
        DateTime end = DateTime.UtcNow + GuestVm.Patience;
        while (await ResidentKiBAsync(guest) > kib)
        {
            await Task.Delay(PollMilliseconds);
            Assert.True(DateTime.UtcNow < end, $"the VMM still has {await ResidentKiBAsync(guest)} KiB");
        }
    }

    private async Task<long> ResidentKiBAsync(GuestVm guest) => long.Parse(
        (await Host.RunAsync($"awk '/^VmRSS/ {{ print $2 }}' /proc/{guest.ProcessId}/status")).OrThrow().Output, CultureInfo.InvariantCulture);

    private static async Task<long> FreeMiBAsync(GuestVm guest) =>
        long.Parse(await guest.AskAsync("awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo"), CultureInfo.InvariantCulture);

    private static async Task<long> CounterAsync(GuestVm guest, string name)
    {
        // Figures of the guest come with the question after the one that asked for them.
        JsonElement value;
        DateTime end = DateTime.UtcNow + GuestVm.Patience;
        while (!(await guest.GetAsync("vm.counters")).GetProperty("__balloon").TryGetProperty(name, out value))
        {
            await Task.Delay(PollMilliseconds);
            Assert.True(DateTime.UtcNow < end, $"there is no counter {name}");
        }

        return value.GetInt64();
    }
}
