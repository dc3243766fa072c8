namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class VhostUser(SoftHostFixture fixture) : VhostUserTests(fixture);
