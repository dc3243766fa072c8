using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Migration(SoftHostFixture fixture, ITestOutputHelper output) : MigrationTests(fixture, output);
