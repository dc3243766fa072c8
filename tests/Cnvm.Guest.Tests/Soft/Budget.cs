using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Budget(SoftHostFixture fixture, ITestOutputHelper output) : BudgetTests(fixture, output)
{
    /// <summary>Decoded code of the guest's kernel and shell is most of it.</summary>
    protected override long MaxRssKiB => 48 * 1024;
}
