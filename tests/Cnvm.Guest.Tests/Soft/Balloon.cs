namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Balloon(SoftHostFixture fixture) : BalloonTests(fixture)
{
    protected override bool IsShared => true;
}
