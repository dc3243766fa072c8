using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class SelfCheck(SoftHostFixture fixture, ITestOutputHelper output) : SelfCheckTests(fixture, output);
