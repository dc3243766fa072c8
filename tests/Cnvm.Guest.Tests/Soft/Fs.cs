using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Fs(SoftHostFixture fixture, ITestOutputHelper output) : FsTests(fixture, output)
{
    protected override int Operations => 1000;

    protected override int Processors => 2;

    protected override int Megabytes => 20;
}
