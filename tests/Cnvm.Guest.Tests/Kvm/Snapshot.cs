namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Snapshot(NestedHostFixture fixture) : SnapshotTests(fixture);
