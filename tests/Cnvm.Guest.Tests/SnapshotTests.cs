using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>Real Linux guests go on from snapshots, in new processes.</summary>
public abstract class SnapshotTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private const string Reseeds = "dmesg | grep -c 'crng reseeded due to virtual machine fork' || true";

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

    /// <summary>Linux with the driver reads its random numbers anew after every restore (Debian's generic kernel has it built in).</summary>
    [GuestFact]
    public async Task A_guest_learns_that_it_is_another_one()
    {
        GuestSetup setup = GuestSetup.Small with { Kernel = "nested-vmlinux", MemoryMiB = 512, Pulses = false };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        string before = await IdAsync();
        Assert.Equal("0", await guest.AskAsync(Reseeds));

        await guest.PulseAsync();

        // Twice, unless the guest was saved again before it had heard of the first.
        Assert.InRange(int.Parse(await guest.AskAsync(Reseeds), CultureInfo.InvariantCulture), 1, 2);
        Assert.NotEqual(before, await IdAsync());
        await guest.PowerOffAsync();

        Task<string> IdAsync() => guest.AskAsync($"dd if=/dev/mem bs=4096 skip={0xef} count=1 2>/dev/null | head -c 16 | md5sum");
    }

    /// <summary>Two machines from one snapshot run at the same time, each with a TAP and an address of its own.</summary>
    [GuestFact]
    public async Task Clones_run_side_by_side_with_their_own_addresses()
    {
        await using var scratch = new ScratchDirectory(Host);
        string folder = await FolderAsync(scratch, "snapshot");
        await using NetworkNamespace space = await NetworkNamespace.CreateAsync(Host);
        GuestSetup setup = GuestSetup.Small with { MemoryMiB = 128, Net = "tap=tap0,id=net,mac=52:54:00:00:00:01", NetworkNamespace = space.Name, Pulses = false };
        await using (GuestVm vm = await GuestVm.BootAsync(Host, setup))
        {
            await GuestLoad.StartAsync(vm);
            await SnapshotAsync(vm, folder);
        }

        await using GuestVm two = await CloneAsync(2);
        await using (GuestVm one = await CloneAsync(1))
        {
            await AssertCloneAsync(one, 1);
            await AssertCloneAsync(two, 2);
        }

        // Only the last one leaves nothing behind.
        await two.PowerOffAsync();

        async Task AssertCloneAsync(GuestVm vm, int number)
        {
            await GuestLoad.AssertGoesOnAsync(vm, 1);
            Assert.Equal("52:54:00:00:00:01", await vm.AskAsync("cat /sys/class/net/eth0/address"));
            await vm.AskAsync("cd /sys/bus/virtio/drivers/virtio_net && d=$(ls -d virtio[0-9]*) && echo $d >unbind && echo $d >bind");
            Assert.Equal($"52:54:00:00:01:0{number}", await vm.AskAsync("cat /sys/class/net/eth0/address"));
            Assert.Contains($"clone{number}", (await space.RunAsync("ip -o link")).Output, StringComparison.Ordinal);
        }

        async Task<GuestVm> CloneAsync(int number)
        {
            GuestVm vm = await GuestVm.StartAsync(Host, space.Name);
            await vm.PutAsync(
                "vm.restore",
                $$"""{"source_url":"file://{{folder}}","memory_restore_mode":"OnDemand","resume":true,"net_overrides":[{"id":"net","mac":"52:54:00:00:01:0{{number}}","tap":"clone{{number}}"}]}""");
            return vm;
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
