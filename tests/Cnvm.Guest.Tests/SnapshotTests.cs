using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>Real Linux guests go on from snapshots, in new processes.</summary>
public abstract class SnapshotTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    [GuestTheory]
    [InlineData(1, "copy")]
    [InlineData(2, "ondemand")]
    public async Task A_busy_guest_goes_on_in_a_new_process(int cpus, string mode)
    {
        await using var scratch = new ScratchDirectory(Host);
        string folder = await FolderAsync(scratch, "snapshot");
        await using (GuestVm vm = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = cpus }))
        {
            await LoadAsync(vm);
            await SnapshotAsync(vm, folder);
        }

        // Twice from the same files: a restored guest's writes are its own.
        for (int i = 0; i < 2; i++)
        {
            await using GuestVm vm = await GuestVm.RestoreAsync(Host, folder, $",memory_restore_mode={mode}");
            await AssertGoesOnAsync(vm, cpus);
            await vm.PowerOffAsync();
        }
    }

    private protected async Task<string> FolderAsync(ScratchDirectory scratch, string name)
    {
        string folder = $"{scratch.Path}/{name}";
        (await Host.RunAsync($"mkdir -p {folder}", GuestVm.Patience)).OrThrow();
        return folder;
    }

    /// <summary>A counter that never stops, and random bytes whose sum is known.</summary>
    protected static async Task LoadAsync(GuestVm vm)
    {
        await vm.AskAsync("dd if=/dev/urandom of=/tmp/random bs=64k count=16 && md5sum /tmp/random >/tmp/sum");
        await vm.TypeAsync("(i=0; while :; do i=$((i+1)); echo $i >/tmp/new; mv /tmp/new /tmp/count; done) &");
        Assert.True(await CountAsync(vm) >= 0);
    }

    private static async Task<long> CountAsync(GuestVm vm) =>
        long.Parse(await vm.AskAsync("while [ ! -s /tmp/count ]; do :; done; cat /tmp/count"), CultureInfo.InvariantCulture);

    protected static async Task SnapshotAsync(GuestVm vm, string folder)
    {
        await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""", status: 500);
        await vm.PutAsync("vm.pause");
        await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
        await vm.PutAsync("vm.resume");
        Assert.Equal("Running", await vm.StateAsync());

        // It was not harmed.
        Assert.True(await CountAsync(vm) > 0);
    }

    protected static async Task AssertGoesOnAsync(GuestVm vm, int cpus)
    {
        long first = await CountAsync(vm);
        Assert.Equal(0, (await vm.RunAsync($"while [ $(cat /tmp/count) -le {first} ]; do :; done")).ExitCode);
        Assert.Equal("/tmp/random: OK", await vm.AskAsync("md5sum -c /tmp/sum"));
        Assert.Equal(cpus.ToString(CultureInfo.InvariantCulture), await vm.AskAsync("nproc"));

        // Timers fire: a second takes about a second of the guest's own time.
        string[] times = (await vm.AskAsync("cat /proc/uptime; sleep 1; cat /proc/uptime")).Split('\n');
        Assert.InRange(Uptime(times[1]) - Uptime(times[0]), 0.9, 20);
    }

    private static double Uptime(string line) => double.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture);
}
