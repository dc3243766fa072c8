namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class BootMatrix(SoftHostFixture fixture) : BootMatrixTests(fixture);
