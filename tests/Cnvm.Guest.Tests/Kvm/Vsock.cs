using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Vsock(NestedHostFixture fixture, ITestOutputHelper output) : VsockTests(fixture, output)
{
    protected override int Bytes => 4_000_000;
}
