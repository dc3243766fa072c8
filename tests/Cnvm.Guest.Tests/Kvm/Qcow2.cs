namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Qcow2(NestedHostFixture fixture) : Qcow2Tests(fixture);
