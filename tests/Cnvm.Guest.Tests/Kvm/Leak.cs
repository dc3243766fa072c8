using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Leak(NestedHostFixture fixture, ITestOutputHelper output) : LeakTests(fixture, output);
