using System.Text.Json;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class VcpuHotplug(SoftHostFixture fixture) : VcpuHotplugTests(fixture)
{
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task VCPUs_that_came_late_move_along_and_may_go_there(bool local)
    {
        await using var scratch = new ScratchDirectory(Host);
        (await Host.RunAsync($"mkdir -p {scratch.Path}")).OrThrow();
        await using GuestVm guest = await GuestVm.BootAsync(
            Host, GuestSetup.Small with { CpuKeys = ",max=3", MemoryKeys = local ? ",shared=on" : "", Pulses = false });
        await ResizeAsync(guest, 2);
        await SwitchOnAsync(guest, 1);

        await using GuestVm target = await GuestVm.StartAsync(Host);
        string url = $"unix:{scratch.Path}/there";
        Task<string> receiving = target.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}"}""");
        await target.WaitForEventAsync("vm", "migration-receive-ready");
        JsonElement end = JsonDocument.Parse(await guest.PutAsync(
            "vm.send-migration", $$"""{"destination_url":"{{url}}","wait":true,"local":{{(local ? "true" : "false")}}}""")).RootElement;
        Assert.Equal("Completed", end.GetProperty("phase").GetString());
        await receiving;
        await guest.AssertEndAsync(othersRun: true);

        await AssertWorkAsync(target, 2);
        await ResizeAsync(target, 3);
        await SwitchOnAsync(target, 2);
        await AssertWorkAsync(target, 3);
        await ResizeAsync(target, 1);
        await GoneAsync(target, times: 2);
        Assert.Equal(["vcpu0"], await ThreadsAsync(Host, target));
        await target.PowerOffAsync();
    }
}
