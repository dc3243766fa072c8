using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class LifeCycle(SoftHostFixture fixture, ITestOutputHelper output) : LifeCycleTests(fixture, output);
