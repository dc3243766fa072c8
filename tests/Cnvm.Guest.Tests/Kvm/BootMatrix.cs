namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class BootMatrix(NestedHostFixture fixture) : BootMatrixTests(fixture);
