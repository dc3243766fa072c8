using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Leak(SoftHostFixture fixture, ITestOutputHelper output) : LeakTests(fixture, output)
{
    /// <summary>How much code has been translated differs from boot to boot. The translations of a leaked machine are some 12 MiB.</summary>
    protected override long RssSlackKiB => 8 * 1024;
}
