using System.Globalization;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>Real Linux guests go on from snapshots, in new processes, on the hypervisor they came from and on the other one.</summary>
[Collection(GuestCollection.Name)]
public sealed class SnapshotTests(NestedHostFixture fixture)
{
    private static int s_count;

    [SkippableTheory]
    [InlineData(1, "copy")]
    [InlineData(2, "ondemand")]
    public async Task A_busy_guest_goes_on_in_a_new_process(int cpus, string mode)
    {
        NestedHost host = fixture.Host;
        string folder = await FolderAsync(host);
        await using (GuestVm vm = await GuestVm.BootAsync(host, new GuestSetup { Cpus = cpus }))
        {
            await LoadAsync(vm);
            await SnapshotAsync(vm, folder);
        }

        // Twice from the same files: a restored guest's writes are its own.
        for (int i = 0; i < 2; i++)
        {
            await using GuestVm vm = await GuestVm.RestoreAsync(host, folder, $",memory_restore_mode={mode}");
            await AssertGoesOnAsync(vm, cpus);
            await vm.PowerOffAsync();
        }
    }

    [SkippableFact]
    public async Task A_guest_changes_between_kvm_and_the_software_vcpu()
    {
        NestedHost host = fixture.Host;
        string onKvm = await FolderAsync(host);
        string onSoft = await FolderAsync(host);
        await using (GuestVm vm = await GuestVm.BootAsync(host, new GuestSetup { Flags = "--hypervisor kvm", CpuKeys = ",profile=x86-64-v2" }))
        {
            await LoadAsync(vm);
            await SnapshotAsync(vm, onKvm);
        }

        await using (GuestVm vm = await GuestVm.RestoreAsync(host, onKvm, flags: "--hypervisor soft"))
        {
            await AssertGoesOnAsync(vm, 1);
            await SnapshotAsync(vm, onSoft);
        }

        // The TSC frequency is still that of the host it came from, so it can go back.
        await using (GuestVm vm = await GuestVm.RestoreAsync(host, onSoft, ",memory_restore_mode=ondemand", "--hypervisor kvm"))
        {
            await AssertGoesOnAsync(vm, 1);
            await vm.PowerOffAsync();
        }
    }

    private static async Task<string> FolderAsync(NestedHost host)
    {
        string folder = string.Create(CultureInfo.InvariantCulture, $"/run/cnvm-snapshots/{Interlocked.Increment(ref s_count)}");
        (await host.RunAsync($"mkdir -p {folder}", GuestVm.Patience)).OrThrow();
        return folder;
    }

    /// <summary>A counter that never stops, and random bytes whose sum is known.</summary>
    private static async Task LoadAsync(GuestVm vm)
    {
        await vm.AskAsync("dd if=/dev/urandom of=/tmp/random bs=64k count=16 && md5sum /tmp/random >/tmp/sum");
        await vm.TypeAsync("(i=0; while :; do i=$((i+1)); echo $i >/tmp/new; mv /tmp/new /tmp/count; done) &");
        Assert.True(await CountAsync(vm) >= 0);
    }

    private static async Task<long> CountAsync(GuestVm vm) =>
        long.Parse(await vm.AskAsync("while [ ! -s /tmp/count ]; do :; done; cat /tmp/count"), CultureInfo.InvariantCulture);

    private static async Task SnapshotAsync(GuestVm vm, string folder)
    {
        await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""", status: 500);
        await vm.PutAsync("vm.pause");
        await vm.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
        await vm.PutAsync("vm.resume");
        Assert.Equal("Running", await vm.StateAsync());

        // It was not harmed.
        Assert.True(await CountAsync(vm) > 0);
    }

    private static async Task AssertGoesOnAsync(GuestVm vm, int cpus)
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
