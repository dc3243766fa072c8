namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Qcow2(SoftHostFixture fixture) : Qcow2Tests(fixture);
