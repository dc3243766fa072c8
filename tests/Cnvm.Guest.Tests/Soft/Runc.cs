using Cnvm.Guest.Tests.Containers;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>The tests of containers with runc: what fails here is not cnvm's.</summary>
[Collection(SoftGuests.Name)]
public sealed class Runc(SoftHostFixture fixture, ITestOutputHelper output) : ContainerTests(fixture, output)
{
    protected override string? Runtime => null;
}
