using Cnvm.Guest.Tests.Containers;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Shim(NestedHostFixture fixture, ITestOutputHelper output) : ShimTests(fixture, output)
{
    protected override string? Runtime
    {
        get
        {
            Skip.IfNot(Soak.IsOn, "containerd and its machines on an emulated host take long: CNVM_SOAK=1 asks for it");
            return base.Runtime;
        }
    }
}
