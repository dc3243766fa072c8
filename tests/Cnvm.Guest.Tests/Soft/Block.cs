using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

[Collection(SoftGuests.Name)]
public sealed class Block(SoftHostFixture fixture, ITestOutputHelper output) : BlockTests(fixture, output);
