using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Fs(NestedHostFixture fixture, ITestOutputHelper output) : FsTests(fixture, output)
{
    protected override int Operations => 300;

    // With two at this work the emulator under the nested host stands still more often than not; the other host has two in every run.
    protected override int Processors => Soak.IsOn ? 2 : 1;

    // The other host moves twenty in every run; here processors are emulated.
    protected override int Megabytes => Soak.IsOn ? 20 : 4;

    // Its first guest, with one emulated processor, ran without an end in the middle of it.
    protected override string? WhyNoLocks => Soak.IsOn ? null : "part of the long form in the nested host: CNVM_SOAK=1";
}
