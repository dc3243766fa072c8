using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Vsock(NestedHostFixture fixture, ITestOutputHelper output) : VsockTests(fixture, output)
{
    protected override int Bytes => 4_000_000;

    // A thousand take a minute where processors are emulated; the other host has them in every run.
    protected override int Many => Soak.IsOn ? 1000 : 100;
}
