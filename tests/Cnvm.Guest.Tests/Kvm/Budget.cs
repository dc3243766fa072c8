using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Budget(NestedHostFixture fixture, ITestOutputHelper output) : BudgetTests(fixture, output)
{
    protected override long MaxRssKiB => 10 * 1024;
}
