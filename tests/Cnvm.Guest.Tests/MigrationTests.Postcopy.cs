using System.Globalization;
using System.Text.Json;

namespace Cnvm.Guest.Tests;

// Post-copy: the guest's processors run before its memory is there, and whatever runs them waits for a page.
public abstract partial class MigrationTests
{
    private protected const int PostcopyCpus = 2;

    /// <summary>A guest that checks its memory and its disk all the while goes on in another process before its memory is there.</summary>
    [GuestFact]
    public async Task A_busy_guest_goes_on_there_before_its_memory()
    {
        SkipWithoutFaults();
        Skip.IfNot(Soak.IsOn, "part of the long form: CNVM_SOAK=1");
        await using var scratch = new ScratchDirectory(Host);
        (GuestVm booted, MigrationLoad load) = await BootForPostcopyAsync(scratch);
        await using GuestVm first = booted;
        await using GuestVm second = await GuestVm.StartAsync(Host);
        string url = $"unix:{scratch.Path}/there";
        Task<string> receiving = second.PutAsync("vm.receive-migration", $$"""{"receiver_url":"{{url}}","memory_mode":"Postcopy"}""");
        await second.WaitForEventAsync("vm", "migration-receive-ready");
        string end = await first.PutAsync(
            "vm.send-migration",
            $$"""{"destination_url":"{{url}}","timeout_s":1,"timeout_strategy":"Postcopy","downtime_ms":1,"max_bytes_per_s":16000000,"wait":true}""");
        await receiving;
        await AssertHereWithAllAsync(first, second, load, JsonDocument.Parse(end).RootElement);
    }

    /// <summary>Where pages cannot be waited for, there is nothing to be seen.</summary>
    private protected void SkipWithoutFaults() =>
        Skip.IfNot(Host.IsRoot, "userfaultfd is root's, unless the host permits it to others");

    /// <summary>A guest at work, with memory that nobody looks at until the end.</summary>
    private protected async Task<(GuestVm Guest, MigrationLoad Load)> BootForPostcopyAsync(ScratchDirectory scratch)
    {
        await scratch.MakeFileAsync("disk", "8M");
        string[] disks = [$"path={scratch.Path}/disk,image_type=raw", await GuestPrograms.AddDiskAsync(scratch, Host)];
        GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = PostcopyCpus, Disks = disks, Pulses = false });
        try
        {
            await GuestPrograms.UnpackAsync(guest, "vdb");
            await GuestLoad.StartAsync(guest);
            await guest.AskAsync("dd if=/dev/urandom of=/tmp/late bs=1M count=24 && md5sum /tmp/late >/tmp/late-sum");
            MigrationLoad load = MigrationLoad.Memory(PostcopyCpus);
            await load.StartAsync(guest);
            return (guest, load);
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>It has arrived with all it had, pages were waited for, and it does what every VM does; the source has ended.</summary>
    /// <param name="end">What the source said of the move.</param>
    private protected async Task AssertHereWithAllAsync(GuestVm source, GuestVm guest, MigrationLoad load, JsonElement end)
    {
        Output.WriteLine(end.ToString());
        await source.AssertEndAsync(othersRun: true);
        JsonElement arrived = await guest.GetAsync("vm.migration");
        Output.WriteLine(arrived.ToString());
        Assert.Equal(("Completed", "Completed"), (end.GetProperty("phase").GetString(), arrived.GetProperty("phase").GetString()));
        Assert.NotEqual(0UL, arrived.GetProperty("postcopy_faults").GetUInt64());
        await load.EndAsync(guest);
        await GuestLoad.AssertGoesOnAsync(guest, PostcopyCpus);
        Assert.Equal("/tmp/late: OK", await guest.AskAsync("md5sum -c /tmp/late-sum"));
        Assert.Equal("moved", await guest.AskAsync("echo moved | dd of=/dev/vda bs=512 conv=notrunc,fsync 2>/dev/null; head -c 5 /dev/vda"));
        await guest.PutAsync("vm.pause");
        await guest.PutAsync("vm.resume");
        Report(string.Create(
            CultureInfo.InvariantCulture,
            $"post-copy, {Host.Hypervisor} to {Host.Hypervisor}, memory, {PostcopyCpus} vCPUs: stood still {end.GetProperty("downtime_ms")} ms, {arrived.GetProperty("postcopy_faults")} pages waited for"));
        await guest.PowerOffAsync();
    }
}
