using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Block(NestedHostFixture fixture, ITestOutputHelper output) : BlockTests(fixture, output);
