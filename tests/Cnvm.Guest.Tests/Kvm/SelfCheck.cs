using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class SelfCheck(NestedHostFixture fixture, ITestOutputHelper output) : SelfCheckTests(fixture, output);
