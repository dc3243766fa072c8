using System.Globalization;
using Cnvm.Nested;

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
        (long Least, long Most) ahead;
        long saved;
        await using (GuestVm vm = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = cpus }))
        {
            await GuestLoad.StartAsync(vm);
            ahead = await AheadAsync(vm);
            await SnapshotAsync(vm, folder);
            saved = await HostTimeAsync();
        }

        // Twice from the same files: a restored guest's writes are its own. For the second one time has gone on.
        foreach (string clock in (string[])["hold", "advance"])
        {
            long away = await HostTimeAsync() - saved;
            await using GuestVm vm = await GuestVm.RestoreAsync(Host, folder, $",memory_restore_mode={mode},clock={clock}");
            (long Least, long Most) now = await AheadAsync(vm);
            (long least, long most) = (ahead.Least - now.Most, ahead.Most - now.Least);
            Assert.True(clock == "hold" ? most >= away - 1 : least <= 1 && most >= -1, $"{clock}: {least} to {most} s behind after {away} s");
            await GuestLoad.AssertGoesOnAsync(vm, cpus);
            await vm.PowerOffAsync();
            // So long that the clocks cannot have stood still unseen.
            await Task.Delay(TimeSpan.FromSeconds(Math.Max(0, 5 - (await HostTimeAsync() - saved))));
        }

        async Task<long> HostTimeAsync() => long.Parse((await Host.RunAsync("date +%s")).OrThrow().Output, CultureInfo.InvariantCulture);

        // By how many seconds the guest's clock is ahead of the host's, which is read before and after it.
        async Task<(long Least, long Most)> AheadAsync(GuestVm vm)
        {
            long before = await HostTimeAsync();
            long guest = long.Parse(await vm.AskAsync("date +%s"), CultureInfo.InvariantCulture);
            return (guest - await HostTimeAsync(), guest - before);
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
        Assert.Equal("AMZNC10C", await guest.AskAsync("cat /sys/bus/acpi/devices/AMZNC10C:00/hid"));
        Assert.Contains("000ee000-000eefff : AMZNC10C:00", await guest.AskAsync("cat /proc/iomem"), StringComparison.Ordinal);
        byte[] clock = await ClockAsync();
        Assert.Equal("VCLK"u8.ToArray(), clock[..4]);
        Assert.All(clock[0x0c..0x18], b => Assert.Equal(0, b));

        await guest.PulseAsync();

        // Twice, unless the guest was saved again before it had heard of the first.
        Assert.InRange(int.Parse(await guest.AskAsync(Reseeds), CultureInfo.InvariantCulture), 1, 2);
        Assert.NotEqual(before, await IdAsync());

        // Each restore is a disruption and another generation.
        byte[] after = await ClockAsync();
        Assert.InRange(after[0x10], 1, 2);
        Assert.Equal(2 * after[0x10], after[0x0c]);
        Assert.Equal(after[0x10], after[0x68]);
        (clock[0x0c], clock[0x10], clock[0x68]) = (after[0x0c], after[0x10], after[0x68]);
        Assert.Equal(clock, after);
        await guest.PowerOffAsync();

        // The first bytes of the VMClock page, which Debian's kernels have no driver for yet.
        async Task<byte[]> ClockAsync() => Convert.FromHexString(
            (await guest.AskAsync($"dd if=/dev/mem bs=4096 skip={0xee} count=1 2>/dev/null | head -c 112 | od -v -An -tx1")).Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal));

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

    /// <summary>
    /// Differences that follow one another, of a guest that computes and has its disk written into its memory, merge into what a full snapshot
    /// of the same moment has, byte for byte, and the guest goes on from that.
    /// </summary>
    [GuestFact]
    public async Task A_chain_of_differences_is_what_the_guest_was()
    {
        Skip.If(!Host.PulsesEveryGuest && !Soak.IsOn, "two guests and two merges take long where processors are emulated: part of 'make soak'");
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "16M");
        (await Host.RunAsync($"dd if=/dev/urandom of={scratch.Path}/disk bs=1M count=16 2>/dev/null")).OrThrow();
        string merge = Shell.Quote(Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm")) + " snapshot merge";
        string[] names = ["full", "one", "two", "reference", "both", "all"];
        (await Host.RunAsync($"cd {scratch.Path} && mkdir {string.Join(' ', names)}")).OrThrow();
        await using (GuestVm vm = await GuestVm.BootAsync(Host, GuestSetup.Small with { MemoryMiB = 128, Disks = [$"path={scratch.Path}/disk,image_type=raw"], Pulses = false }))
        {
            await GuestLoad.StartAsync(vm);
            await TakeAsync(vm, "full", ",\"track_changes\":true");
            foreach (string name in (string[])["one", "two"])
            {
                await vm.PutAsync("vm.resume");
                await vm.AskAsync($"echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda of=/tmp/{name} bs=1M count=6 skip={(name == "one" ? 0 : 6)} && md5sum /tmp/{name} >>/tmp/sums");
                await TakeAsync(vm, name, ",\"incremental\":true");
            }

            await TakeAsync(vm, "reference", "");
        }

        (await Host.RunAsync($"cd {scratch.Path} && {merge} one two both && {merge} full both all && cmp all/memory-ranges reference/memory-ranges", GuestVm.Patience)).OrThrow();
        await using GuestVm merged = await GuestVm.RestoreAsync(Host, $"{scratch.Path}/all", ",memory_restore_mode=ondemand");
        await GuestLoad.AssertGoesOnAsync(merged, 1);
        Assert.Equal("/tmp/one: OK\n/tmp/two: OK", await merged.AskAsync("md5sum -c /tmp/sums"));
        await merged.PowerOffAsync();

        async Task TakeAsync(GuestVm vm, string name, string options)
        {
            if (await vm.StateAsync() == "Running")
            {
                await vm.PutAsync("vm.pause");
            }

            await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/{{name}}"{{options}}}""");
        }
    }

    /// <summary>
    /// What a guest had on its disk, and what it had not yet written there, is what two machines find that go on from the snapshot with images
    /// in front of its copies, whatever became of the disk since.
    /// </summary>
    [GuestFact]
    public async Task Disks_are_in_a_snapshot_as_they_were_at_its_moment()
    {
        Skip.If(!Host.PulsesEveryGuest && !Soak.IsOn, "three guests take long where processors are emulated: part of 'make soak'");
        Skip.If((await Host.RunAsync("command -v qemu-img")).ExitCode != 0, "there is no qemu-img: 'make deps' installs qemu-utils");
        await using var scratch = new ScratchDirectory(Host);
        string folder = await FolderAsync(scratch, "snapshot");
        (await Host.RunAsync($"cd {scratch.Path} && qemu-img create -q -f qcow2 disk 32M")).OrThrow();
        GuestSetup setup = GuestSetup.Small with { MemoryMiB = 128, Disks = [$"path={scratch.Path}/disk,image_type=qcow2,backing_files=on,id=data"], Pulses = false };
        string sum;
        await using (GuestVm vm = await GuestVm.BootAsync(Host, setup))
        {
            await GuestLoad.StartAsync(vm);
            await vm.AskAsync("dd if=/dev/urandom of=/dev/vda bs=1M count=4 conv=fsync && dd if=/dev/urandom of=/dev/vda bs=1M seek=6 count=4");
            sum = await vm.AskAsync("md5sum </dev/vda");
            await vm.PutAsync("vm.pause");
            await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}","disks":true}""");
            await vm.PutAsync("vm.resume");
            await vm.AskAsync("dd if=/dev/zero of=/dev/vda bs=1M count=32 conv=fsync");
            Assert.NotEqual(sum, await vm.AskAsync("md5sum </dev/vda"));
            await vm.PowerOffAsync();
        }

        string copy = $"{folder}/disk-data";
        Assert.Contains("No errors", (await Host.RunAsync($"qemu-img check {copy}")).OrThrow().Output, StringComparison.Ordinal);
        string before = (await Host.RunAsync($"sha256sum {copy}")).OrThrow().Output;
        await using GuestVm two = await CloneAsync(2);
        await using (GuestVm one = await CloneAsync(1))
        {
            await AssertCloneAsync(one);
        }

        await AssertCloneAsync(two);
        await two.PowerOffAsync();
        Assert.Equal(before, (await Host.RunAsync($"sha256sum {copy}")).OrThrow().Output);

        async Task<GuestVm> CloneAsync(int number)
        {
            (await Host.RunAsync($"qemu-img create -q -f qcow2 -b {copy} -F qcow2 {scratch.Path}/clone{number}")).OrThrow();
            return await GuestVm.RestoreAsync(Host, folder, $",disk_overrides=[data@{scratch.Path}/clone{number}]");
        }

        async Task AssertCloneAsync(GuestVm vm)
        {
            await GuestLoad.AssertGoesOnAsync(vm, 1);
            Assert.Equal(sum, await vm.AskAsync("sync; echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda"));
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
