using System.Globalization;
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
        Skip.IfNot(Environment.IsPrivilegedProcess, "userfaultfd is root's, unless the host permits it to others");
        const int Processors = 2;
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "8M");
        string[] disks = [$"path={scratch.Path}/disk,image_type=raw", await GuestPrograms.AddDiskAsync(scratch, Host)];
        await using GuestVm first = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = Processors, Disks = disks, Pulses = false });
        await GuestPrograms.UnpackAsync(first, "vdb");
        await GuestLoad.StartAsync(first);
        await first.AskAsync("dd if=/dev/urandom of=/tmp/late bs=1M count=24 && md5sum /tmp/late >/tmp/late-sum");
        MigrationLoad load = MigrationLoad.Memory(Processors);
        await load.StartAsync(first);

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
        Output.WriteLine(end.ToString());
        await receiving;
        await first.AssertEndAsync(othersRun: true);
        JsonElement arrived = await second.GetAsync("vm.migration");
        Output.WriteLine(arrived.ToString());
        Assert.Equal(("Completed", "Completed"), (end.GetProperty("phase").GetString(), arrived.GetProperty("phase").GetString()));
        Assert.NotEqual(0UL, arrived.GetProperty("postcopy_faults").GetUInt64());
        await load.EndAsync(second);
        await GuestLoad.AssertGoesOnAsync(second, Processors);
        Assert.Equal("/tmp/late: OK", await second.AskAsync("md5sum -c /tmp/late-sum"));
        Assert.Equal("moved", await second.AskAsync("echo moved | dd of=/dev/vda bs=512 conv=notrunc,fsync 2>/dev/null; head -c 5 /dev/vda"));

        // Whole again, it does what every VM does.
        await second.PutAsync("vm.pause");
        await second.PutAsync("vm.resume");
        Report(string.Create(
            CultureInfo.InvariantCulture,
            $"post-copy, soft to soft, memory, {Processors} vCPUs: stood still {end.GetProperty("downtime_ms")} ms, {arrived.GetProperty("postcopy_faults")} pages waited for"));
        await second.PowerOffAsync();
    }
}
