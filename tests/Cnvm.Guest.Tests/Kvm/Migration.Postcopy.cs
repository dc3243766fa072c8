using System.Globalization;
using System.Text.Json;

namespace Cnvm.Guest.Tests.Kvm;

// Post-copy: it is the kernel that waits for a page here, on behalf of the guest's processors.
public sealed partial class Migration
{
    /// <summary>A guest that checks its memory and its disk all the while goes on in another process before its memory is there.</summary>
    [GuestFact]
    public async Task A_busy_guest_goes_on_there_before_its_memory()
    {
        Skip.IfNot(Soak.IsOn, "part of the long form: CNVM_SOAK=1");
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
        string url = $"unix:{scratch.Path}/there";
        Task<string> receiving = second.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}","memory_mode":"Postcopy"}""");
        await second.WaitForEventAsync("vm", "migration-receive-ready");
        JsonElement end = JsonDocument.Parse(await first.PutAsync(
            "vm.send-migration",
            $$"""{"destination_url":"{{url}}","timeout_s":1,"timeout_strategy":"Postcopy","downtime_ms":1,"max_bytes_per_s":16000000,"wait":true}""")).RootElement;
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
            $"post-copy, kvm to kvm, memory, {Processors} vCPUs: stood still {end.GetProperty("downtime_ms")} ms, {arrived.GetProperty("postcopy_faults")} pages waited for"));
        await second.PowerOffAsync();
    }
}
