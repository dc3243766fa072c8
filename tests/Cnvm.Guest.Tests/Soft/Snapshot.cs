namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Snapshot(SoftHostFixture fixture) : SnapshotTests(fixture);
