namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Net(SoftHostFixture fixture) : NetTests(fixture)
{
    protected override int Bytes => 16_000_000;

    protected override bool IsEmulated => false;
}
