using System.Globalization;
using System.Text.Json;

namespace Cnvm.Guest.Tests;

/// <summary>RAM comes while the guest runs, and the guest uses it.</summary>
public abstract class MemoryHotplugTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    protected const ulong Mib = 1UL << 20;
    private const int BlockMiB = 128;

    // Not enough for what the test keeps.
    private const int BootMiB = 160;

    // Without memory types the guest's programs may map registers that its kernel has mapped in another way.
    protected static GuestSetup Setup => GuestSetup.Small with
    {
        MemoryMiB = BootMiB, MemoryKeys = ",hotplug_size=1G", Cmdline = GuestSetup.Small.Cmdline + " memhp_default_state=online nopat", Pulses = false,
    };

    [GuestFact]
    public async Task Memory_that_comes_is_used_and_stays_over_snapshots_and_reboots()
    {
        await using var scratch = new ScratchDirectory(Host);
        string folder = scratch.Path + "/snapshot";
        (await Host.RunAsync($"mkdir -p {folder}")).OrThrow();
        await using (GuestVm guest = await GuestVm.BootAsync(Host, Setup))
        {
            await GrowAsync(guest, 1);
            await FillAsync(guest);

            // Whatever a guest writes to the registers, it changes nothing but what it is told itself.
            await guest.AskAsync(
                "b=$(sed -n 's/^address sizes.*: \\([0-9]*\\) bits phys.*/\\1/p' /proc/cpuinfo | head -n 1); a=$(((1 << b) - 0x110000 + 64)); "
                + "for s in 4294967295 2147483648 8 7 0; do devmem $a 32 $s; for r in 4 8 12 16 20; do devmem $((a + r)) 32 4294967295; done; devmem $((a + 20)) 8 255; devmem $((a + 8)) 32; done");
            await AssertFilledAsync(guest);
            await guest.PutAsync("vm.resize", $$"""{"desired_ram":{{(BootMiB + BlockMiB + 1) * Mib}}}""", status: 400);
            await guest.PutAsync("vm.resize", $$"""{"desired_ram":{{BootMiB * Mib}}}""", status: 400);
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
        }

        await using (GuestVm guest = await GuestVm.RestoreAsync(Host, folder))
        {
            await AssertFilledAsync(guest);
            await GrowAsync(guest, 2);
            await guest.TypeAsync("reboot");
            await guest.WaitForShellAsync();
            await WaitForMemoryAsync(guest, 2);
            await GrowAsync(guest, 3);
            await guest.PowerOffAsync();
        }
    }

    /// <summary>The guest gets as many blocks in all as <paramref name="blocks"/> says.</summary>
    protected static async Task GrowAsync(GuestVm guest, int blocks)
    {
        ulong bytes = (ulong)(BootMiB + (blocks * BlockMiB)) * Mib;
        await guest.PutAsync("vm.resize", $$"""{"desired_ram":{{bytes}}}""", status: 204);
        JsonElement info = await guest.GetAsync("vm.info");
        Assert.Equal(bytes, info.GetProperty("memory_actual_size").GetUInt64());
        Assert.Equal(bytes, info.GetProperty("config").GetProperty("memory").GetProperty("size").GetUInt64());
        Assert.Equal((ulong)(blocks * BlockMiB) * Mib, info.GetProperty("config").GetProperty("memory").GetProperty("hotplugged_size").GetUInt64());
        await WaitForMemoryAsync(guest, blocks);
    }

    /// <summary>Waits until the guest has that many blocks more than at its boot.</summary>
    protected static async Task WaitForMemoryAsync(GuestVm guest, int blocks)
    {
        int least = (BootMiB + (blocks * BlockMiB) - 60) << 10;
        string total = "$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)";
        string seen = await guest.AskAsync($"for i in $(seq 600); do [ {total} -ge {least} ] && break; usleep 100000; done; echo {total}");
        Assert.InRange(int.Parse(seen, CultureInfo.InvariantCulture), least, (BootMiB + (blocks * BlockMiB)) << 10);
    }

    /// <summary>Keeps more than the guest could without what came.</summary>
    protected static async Task FillAsync(GuestVm guest) => await guest.AskAsync(
        "mkdir -p /more && mount -t tmpfs -o size=200m none /more && dd if=/dev/urandom of=/more/part bs=1M count=4 && for i in $(seq 38); do cat /more/part || exit 1; done >/more/all");

    protected static async Task AssertFilledAsync(GuestVm guest) => await guest.AskAsync(
        "for i in 0 1 18 36 37; do dd if=/more/all bs=4M skip=$i count=1 2>/dev/null | cmp - /more/part || exit 1; done; [ $(stat -c %s /more/all) = $((38 * 4194304)) ]");
}
