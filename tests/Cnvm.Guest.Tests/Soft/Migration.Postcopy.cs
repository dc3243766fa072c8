using System.Text.Json;

namespace Cnvm.Guest.Tests.Soft;

// Post-copy.
public sealed partial class Migration
{
    /// <summary>
    /// It checks its memory and its disk all the while; the connection is lost while pages are missing, both sides answer and say so, and it goes
    /// on when there is another one.
    /// </summary>
    [SkippableFact]
    public async Task A_busy_guest_goes_on_there_and_outlives_its_connection()
    {
        SkipWithoutFaults();
        await using var scratch = new ScratchDirectory(Host);
        (GuestVm booted, MigrationLoad load) = await BootForPostcopyAsync(scratch);
        await using GuestVm first = booted;
        await using GuestVm second = await GuestVm.StartAsync(Host);
        string there = $"{scratch.Path}/there";
        using var relay = new CuttableRelay($"{scratch.Path}/relay", there);
        Task<string> receiving = second.PutAsync("vm.receive-migration", $$"""{"receiver_url":"unix:{{there}}","memory_mode":"Postcopy"}""");
        await second.WaitForEventAsync("vm", "migration-receive-ready");
        await first.PutAsync(
            "vm.send-migration",
            $$"""{"destination_url":"unix:{{scratch.Path}}/relay","timeout_s":1,"timeout_strategy":"Postcopy","downtime_ms":1,"max_bytes_per_s":4000000}""");
        await second.WaitForEventAsync("vm", "migration-postcopy-started");
        relay.Cut();
        await second.WaitForEventAsync("vm", "migration-postcopy-lost");
        await first.WaitForEventAsync("vm", "migration-postcopy-lost");

        // It runs until it needs what is missing; nothing is done meanwhile that would need it too, and both answer.
        foreach (string call in (string[])["vm.pause", "vm.shutdown", "vm.reboot"])
        {
            await second.PutAsync(call, status: 500);
            await first.PutAsync(call, status: 500);
        }

        await second.PutAsync("vm.delete", status: 500);
        await second.CallAsync("GET", "vm.state", status: 500);

        await second.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/snapshot"}""", status: 500);
        await second.PutAsync("vm.send-migration", """{"destination_url":"unix:/nowhere"}""", status: 500);
        await first.PutAsync("vm.migration-cancel", status: 500);
        Assert.Equal("Running", await second.StateAsync());
        Assert.Equal("Paused", await first.StateAsync());
        JsonElement lost = await second.GetAsync("vm.migration");
        Assert.Equal(("PostcopyLost", "Here"), (lost.GetProperty("phase").GetString(), lost.GetProperty("guest").GetString()));
        Assert.NotEqual(0UL, lost.GetProperty("remaining_bytes").GetUInt64());
        Assert.Contains("connection lost, waiting", (await first.GetAsync("vm.migration")).GetProperty("error").GetString(), StringComparison.Ordinal);

        await first.PutAsync("vm.migration-set", """{"max_bytes_per_s":0}""");
        JsonElement end = JsonDocument.Parse(
            await first.PutAsync("vm.send-migration", $$"""{"destination_url":"unix:{{there}}","resume":true,"wait":true}""")).RootElement;
        await receiving;
        await AssertHereWithAllAsync(first, second, load, end);
    }
}
