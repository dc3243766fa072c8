namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class RateLimit(NestedHostFixture fixture) : RateLimitTests(fixture);
