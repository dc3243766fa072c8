using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class LifeCycle(NestedHostFixture fixture, ITestOutputHelper output) : LifeCycleTests(fixture, output);
