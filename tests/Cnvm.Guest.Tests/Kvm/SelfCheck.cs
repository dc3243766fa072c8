using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class SelfCheck(NestedHostFixture fixture, ITestOutputHelper output) : SelfCheckTests(fixture, output)
{
    /// <summary>What computes here is the emulator under the nested host.</summary>
    protected override string? LongWorkIsLeftOut =>
        Soak.IsOn ? null : "a minute of work for the nested host's emulator, not for cnvm: 'make soak' (CNVM_SOAK=1) does it; the software vCPU does it always";
}
