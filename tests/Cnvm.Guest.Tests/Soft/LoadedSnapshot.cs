using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class LoadedSnapshot(SoftHostFixture fixture, ITestOutputHelper output) : LoadedSnapshotTests(fixture, output)
{
    private const int UsualPulses = 3;

    public static TheoryData<string, int> Busy() => Soak.IsOn ? All : new() { { "debian", 4 } };

    [GuestTheory]
    [MemberData(nameof(Busy))]
    public Task What_a_busy_guest_does_survives_snapshots(string kernel, int cpus) => RunAsync(kernel, cpus, Soak.IsOn ? Soak.Pulses : UsualPulses);
}
