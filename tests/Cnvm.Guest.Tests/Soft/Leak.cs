using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Leak(SoftHostFixture fixture, ITestOutputHelper output) : LeakTests(fixture, output);
