using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Budget(SoftHostFixture fixture, ITestOutputHelper output) : BudgetTests(fixture, output);
