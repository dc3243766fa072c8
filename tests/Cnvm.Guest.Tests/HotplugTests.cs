using System.Text.Json;

namespace Cnvm.Guest.Tests;

/// <summary>Disks, interfaces and shared folders come and go while the guest runs.</summary>
public abstract class HotplugTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    [GuestFact]
    public async Task Devices_come_and_go_and_stay_over_snapshots()
    {
        await using var scratch = new ScratchDirectory(Host);
        string disk = scratch.Path + "/disk";
        string share = scratch.Path + "/share";
        string folder = scratch.Path + "/snapshot";
        (await Host.RunAsync($"mkdir -p {share} {folder} && echo kept >{share}/file && head -c 8M /dev/urandom >{disk}")).OrThrow();
        string digest = (await Host.RunAsync($"sha256sum <{disk}")).OrThrow().Output.Trim();
        GuestSetup setup = GuestSetup.Small with { Cpus = 2, Pulses = false };
        await using (GuestVm guest = await GuestVm.BootAsync(Host, setup))
        {
            JsonElement added = await AddAsync(guest, "vm.add-disk", $$"""{"id":"late","path":"{{disk}}","image_type":"Raw"}""");
            Assert.Equal("late", added.GetProperty("id").GetString());
            string place = added.GetProperty("bdf").GetString()!;
            Assert.Matches("^0000:00:[0-9a-f]{2}\\.0$", place);
            await guest.AskAsync(Appears($"/sys/bus/pci/devices/{place}/virtio*/block/vda"));
            Assert.Equal(digest, await guest.AskAsync("sha256sum </dev/vda"));

            await AddAsync(guest, "vm.add-fs", $$"""{"tag":"late","path":"{{share}}"}""");
            await guest.AskAsync("mkdir /late; for i in $(seq 600); do mount -t virtiofs late /late && break; usleep 100000; done");
            Assert.Equal("kept", await guest.AskAsync("cat /late/file"));
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
            await guest.PutAsync("vm.resume");

            // Asked to, the guest gives the disk up, and the file is free again; the slot is given anew.
            await RemoveAsync(guest, "late");
            await guest.AskAsync(Goes("/dev/vda"));
            (await Host.RunAsync($"for f in /proc/[0-9]*/fd/*; do [ \"$(readlink $f 2>/dev/null)\" != {disk} ] || exit 1; done")).OrThrow();
            Assert.Equal(place, (await AddAsync(guest, "vm.add-disk", $$"""{"path":"{{disk}}","image_type":"Raw"}""")).GetProperty("bdf").GetString());
            await guest.AskAsync(Appears("/dev/vda"));
            Assert.Equal(digest, await guest.AskAsync("sha256sum </dev/vda"));

            // The guest may do so by itself.
            await guest.AskAsync($"for s in /sys/bus/pci/slots/*; do ! grep -q {place[..^2]} $s/address || echo 0 >$s/power; done");
            await guest.WaitForEventAsync("vm", "device-removed", times: 2);
            Assert.DoesNotContain("disks", (await guest.GetAsync("vm.info")).GetProperty("config").EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.Array && p.Value.GetArrayLength() > 0).Select(p => p.Name));
            await guest.PowerOffAsync();
        }

        await using (GuestVm guest = await GuestVm.RestoreAsync(Host, folder))
        {
            Assert.Equal(digest, await guest.AskAsync("sha256sum </dev/vda"));
            Assert.Equal("kept", await guest.AskAsync("cat /late/file"));
            await guest.PulseAsync();
            await RemoveAsync(guest, "late");
            await guest.AskAsync(Goes("/dev/vda"));
            await guest.AskAsync("umount /late");
            await guest.PowerOffAsync();
        }
    }

    [GuestFact]
    public async Task An_interface_comes_while_the_machine_is_paused_and_stays_over_a_reboot()
    {
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Pulses = false, NetworkNamespace = space.Name });
        await guest.PutAsync("vm.pause");
        await AddAsync(guest, "vm.add-net", """{"id":"late","tap":"cnvmlate","mac":"02:00:00:00:00:07"}""");
        await guest.PutAsync("vm.resume");
        await guest.AskAsync(Appears("/sys/class/net/eth0"));
        Assert.Equal("02:00:00:00:00:07", await guest.AskAsync("cat /sys/class/net/eth0/address"));
        await space.RunAsync("ip address add 192.168.249.1/24 dev cnvmlate && ip link set cnvmlate up");
        await guest.AskAsync("ip link set eth0 up && ip address add 192.168.249.2/24 dev eth0 && ping -c 2 -W 20 192.168.249.1");

        // A machine that begins anew has what was added, and not what was to go.
        await guest.TypeAsync("reboot");
        await guest.WaitForShellAsync();
        Assert.Equal("02:00:00:00:00:07", await guest.AskAsync("cat /sys/class/net/eth0/address"));
        await RemoveAsync(guest, "late");
        await guest.AskAsync(Goes("/sys/class/net/eth0"));
        await guest.PowerOffAsync();
    }

    protected static string Appears(string path) => $"for i in $(seq 600); do [ -e {path} ] && break; usleep 100000; done; [ -e {path} ]";

    protected static string Goes(string path) => $"for i in $(seq 600); do [ ! -e {path} ] && break; usleep 100000; done; [ ! -e {path} ]";

    protected static async Task<JsonElement> AddAsync(GuestVm guest, string endpoint, string body)
        => JsonDocument.Parse(await guest.PutAsync(endpoint, body, status: 200)).RootElement;

    protected static async Task RemoveAsync(GuestVm guest, string id)
    {
        await guest.PutAsync("vm.remove-device", $$"""{"id":"{{id}}"}""", status: 204);
        await guest.WaitForEventAsync("vm", "device-removed");
        Assert.DoesNotContain($"\"id\":\"{id}\"", (await guest.GetAsync("vm.info")).GetProperty("config").ToString(), StringComparison.Ordinal);
    }
}
