namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Balloon(NestedHostFixture fixture) : BalloonTests(fixture)
{
    protected override bool IsShared => false;
}
