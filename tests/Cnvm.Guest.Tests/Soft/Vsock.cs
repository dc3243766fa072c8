using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Vsock(SoftHostFixture fixture, ITestOutputHelper output) : VsockTests(fixture, output)
{
    protected override int Bytes => 2_000_000;
}
