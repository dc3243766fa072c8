using Cnvm.Guest.Tests.Containers;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Shim(NestedHostFixture fixture, ITestOutputHelper output) : ShimTests(fixture, output);
