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
            await GuestLoad.StartAsync(vm);
            await SnapshotAsync(vm, folder);
        }

        // Twice from the same files: a restored guest's writes are its own.
        for (int i = 0; i < 2; i++)
        {
            await using GuestVm vm = await GuestVm.RestoreAsync(Host, folder, $",memory_restore_mode={mode}");
            await GuestLoad.AssertGoesOnAsync(vm, cpus);
            await vm.PowerOffAsync();
        }
    }

    private protected async Task<string> FolderAsync(ScratchDirectory scratch, string name)
    {
        string folder = $"{scratch.Path}/{name}";
        (await Host.RunAsync($"mkdir -p {folder}", GuestVm.Patience)).OrThrow();
        return folder;
    }

    protected static async Task SnapshotAsync(GuestVm vm, string folder)
    {
        await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""", status: 500);
        await vm.PutAsync("vm.pause");
        await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
        await vm.PutAsync("vm.resume");
        Assert.Equal("Running", await vm.StateAsync());

        // It was not harmed.
        Assert.True(await GuestLoad.CountAsync(vm) > 0);
    }
}
