namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Snapshot(NestedHostFixture fixture) : SnapshotTests(fixture)
{
    [GuestFact]
    public async Task A_guest_changes_between_kvm_and_the_software_vcpu()
    {
        GuestHost soft = Host with { Hypervisor = "soft" };
        await using var scratch = new ScratchDirectory(Host);
        string onKvm = await FolderAsync(scratch, "kvm");
        string onSoft = await FolderAsync(scratch, "soft");
        await using (GuestVm vm = await GuestVm.BootAsync(Host, new GuestSetup { CpuKeys = ",profile=x86-64-v2" }))
        {
            await LoadAsync(vm);
            await SnapshotAsync(vm, onKvm);
        }

        await using (GuestVm vm = await GuestVm.RestoreAsync(soft, onKvm))
        {
            await AssertGoesOnAsync(vm, 1);
            await SnapshotAsync(vm, onSoft);
        }

        // The TSC frequency is still that of the host it came from, so it can go back.
        await using (GuestVm vm = await GuestVm.RestoreAsync(Host, onSoft, ",memory_restore_mode=ondemand"))
        {
            await AssertGoesOnAsync(vm, 1);
            await vm.PowerOffAsync();
        }
    }
}
