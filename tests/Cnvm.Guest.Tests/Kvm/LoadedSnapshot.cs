using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class LoadedSnapshot(NestedHostFixture fixture, ITestOutputHelper output) : LoadedSnapshotTests(fixture, output)
{
    protected override IReadOnlyList<(string Kernel, int Cpus)> Usual => [("small", 4)];

    protected override int UsualPulses => 2;
}
