namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Net(NestedHostFixture fixture) : NetTests(fixture)
{
    protected override int Bytes => 100_000_000;

    protected override bool IsEmulated => true;
}
