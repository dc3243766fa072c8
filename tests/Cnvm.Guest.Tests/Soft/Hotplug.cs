using System.Text.Json;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Hotplug(SoftHostFixture fixture) : HotplugTests(fixture)
{
    [SkippableFact]
    public async Task A_disk_that_came_late_stays_over_a_live_migration_and_goes_there()
    {
        await using var scratch = new ScratchDirectory(Host);
        string disk = scratch.Path + "/disk";
        (await Host.RunAsync($"mkdir -p {scratch.Path} && head -c 1M /dev/urandom >{disk}")).OrThrow();
        string digest = (await Host.RunAsync($"sha256sum <{disk}")).OrThrow().Output.Trim();
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Cpus = 2, Pulses = false });
        string place = (await AddAsync(guest, "vm.add-disk", $$"""{"id":"late","path":"{{disk}}","image_type":"Raw"}""")).GetProperty("bdf").GetString()!;
        await guest.AskAsync(Appears("/dev/vda"));
        Assert.Equal(digest, await guest.AskAsync("sha256sum </dev/vda"));

        await using GuestVm target = await GuestVm.StartAsync(Host);
        string url = $"unix:{scratch.Path}/there";
        Task<string> receiving = target.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}"}""");
        await target.WaitForEventAsync("vm", "migration-receive-ready");
        JsonElement end = JsonDocument.Parse(await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","wait":true}""")).RootElement;
        Assert.Equal("Completed", end.GetProperty("phase").GetString());
        await receiving;
        await guest.AssertEndAsync(othersRun: true);

        await target.AskAsync($"ls -d /sys/bus/pci/devices/{place}/virtio*/block/vda");
        Assert.Equal(digest, await target.AskAsync("echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/vda"));
        await RemoveAsync(target, "late");
        await target.AskAsync(Goes("/dev/vda"));
        (await Host.RunAsync($"for f in /proc/[0-9]*/fd/*; do [ \"$(readlink $f 2>/dev/null)\" != {disk} ] || exit 1; done")).OrThrow();

        // Its slot is free again.
        Assert.Equal(place, (await AddAsync(target, "vm.add-disk", $$"""{"path":"{{disk}}","image_type":"Raw"}""")).GetProperty("bdf").GetString());
        await target.AskAsync(Appears("/dev/vda"));
        await target.PowerOffAsync();
    }
}
