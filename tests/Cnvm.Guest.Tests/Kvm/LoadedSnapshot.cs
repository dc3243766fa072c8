using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class LoadedSnapshot(NestedHostFixture fixture, ITestOutputHelper output) : LoadedSnapshotTests(fixture, output)
{
    private const int UsualPulses = 2;

    public static TheoryData<string, int> Busy() => Soak.IsOn ? All : new() { { "small", 4 } };

    public static TheoryData<string, int> Changing() => Soak.IsOn ? new() { { "debian", 1 }, { "debian", 2 }, { "small", 4 } } : new() { { "small", 1 } };

    [GuestTheory]
    [MemberData(nameof(Busy))]
    public Task What_a_busy_guest_does_survives_snapshots(string kernel, int cpus) => RunAsync(kernel, cpus, Soak.IsOn ? Soak.Pulses : UsualPulses);

    /// <summary>The same work, with AVX, over snapshots that are taken on one hypervisor and restored on the other, there and back.</summary>
    [GuestTheory]
    [MemberData(nameof(Changing))]
    public Task What_a_busy_guest_does_survives_changes_of_hypervisor(string kernel, int cpus) =>
        RunAsync(kernel, cpus, pulses: Soak.IsOn ? 6 : 2, ",profile=x86-64-v3", async (guest, scratch, space, i) =>
        {
            string folder = $"{scratch.Path}/{i}";
            (await Host.RunAsync($"mkdir -p {folder}", GuestVm.Patience)).OrThrow();
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
            await guest.DisposeAsync();
            GuestHost next = i % 2 == 0 ? Host with { Hypervisor = "soft" } : Host;
            GuestVm restored = await GuestVm.RestoreAsync(next, folder, i % 2 == 0 ? "" : ",memory_restore_mode=ondemand", space);
            // The host's file system is its memory, which has no room for all of them. What is mapped stays until the process ends.
            (await Host.RunAsync($"rm -r {folder}", GuestVm.Patience)).OrThrow();
            return restored;
        });
}
