using System.Text.Json;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class MemoryHotplug(SoftHostFixture fixture) : MemoryHotplugTests(fixture)
{
    [GuestTheory]
    [InlineData("", "")]
    [InlineData(",shared=on", ",\"local\":true")]
    public async Task What_came_moves_along(string memory, string how)
    {
        await using var scratch = new ScratchDirectory(Host);
        (await Host.RunAsync($"mkdir -p {scratch.Path}")).OrThrow();
        await using GuestVm guest = await GuestVm.BootAsync(Host, Setup with { MemoryKeys = Setup.MemoryKeys + memory });
        await GrowAsync(guest, 1);
        await GrowAsync(guest, 2);
        await FillAsync(guest);

        await using GuestVm target = await GuestVm.StartAsync(Host);
        string url = $"unix:{scratch.Path}/there";
        Task<string> receiving = target.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}"}""");
        await target.WaitForEventAsync("vm", "migration-receive-ready");
        JsonElement end = JsonDocument.Parse(await guest.PutAsync("vm.send-migration", $$"""{"destination_url":"{{url}}","wait":true{{how}}}""")).RootElement;
        Assert.Equal("Completed", end.GetProperty("phase").GetString());
        await receiving;
        await guest.AssertEndAsync(othersRun: true);

        await AssertFilledAsync(target);
        await WaitForMemoryAsync(target, 2);
        await GrowAsync(target, 3);
        await target.PowerOffAsync();
    }
}
