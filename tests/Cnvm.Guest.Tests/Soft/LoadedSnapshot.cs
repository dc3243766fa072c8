using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class LoadedSnapshot(SoftHostFixture fixture, ITestOutputHelper output) : LoadedSnapshotTests(fixture, output)
{
    protected override IReadOnlyList<(string Kernel, int Cpus)> Usual => [("debian", 4)];
}
