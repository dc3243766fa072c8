namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Snapshot(NestedHostFixture fixture) : SnapshotTests(fixture)
{
    public static TheoryData<int> Processors() => Soak.IsOn ? [1, 2, 4] : [1];

    [GuestTheory]
    [MemberData(nameof(Processors))]
    public async Task A_guest_changes_between_kvm_and_the_software_vcpu(int cpus)
    {
        GuestHost soft = Host with { Hypervisor = "soft" };
        await using var scratch = new ScratchDirectory(Host);
        string onKvm = await FolderAsync(scratch, "kvm");
        string onSoft = await FolderAsync(scratch, "soft");
        GuestSetup setup = new() { Cpus = cpus, CpuKeys = ",profile=x86-64-v2", Disks = Soak.IsOn ? [await GuestPrograms.AddDiskAsync(scratch, Host)] : [] };
        await using (GuestVm vm = await GuestVm.BootAsync(Host, setup))
        {
            await GuestLoad.StartAsync(vm);
            if (Soak.IsOn)
            {
                await GuestPrograms.UnpackAsync(vm, "vda");
                await vm.AskAsync("(/run/steady 60 >/run/steady.log 2>&1; touch /run/steady.end) >/dev/null 2>&1 &");
            }

            await SnapshotAsync(vm, onKvm);
        }

        await using (GuestVm vm = await GuestVm.RestoreAsync(soft, onKvm))
        {
            await GuestLoad.AssertGoesOnAsync(vm, cpus);
            await SnapshotAsync(vm, onSoft);
        }

        // The TSC frequency is still that of the host it came from, so it can go back.
        await using (GuestVm vm = await GuestVm.RestoreAsync(Host, onSoft, ",memory_restore_mode=ondemand"))
        {
            await GuestLoad.AssertGoesOnAsync(vm, cpus);
            if (Soak.IsOn)
            {
                Assert.Contains(" errors=0 ", await vm.AskAsync("while [ ! -e /run/steady.end ]; do sleep 1; done; cat /run/steady.log"), StringComparison.Ordinal);
            }

            await vm.PowerOffAsync();
        }
    }
}
