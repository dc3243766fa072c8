using Cnvm.Guest.Tests.Containers;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Shim(SoftHostFixture fixture, ITestOutputHelper output) : ShimTests(fixture, output);
