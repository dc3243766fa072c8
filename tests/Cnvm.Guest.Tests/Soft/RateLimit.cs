namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class RateLimit(SoftHostFixture fixture) : RateLimitTests(fixture);
