using Cnvm.Arch.Cpuid;
using Cnvm.Vmm.Cpus;

namespace Cnvm.Vmm.Tests.Cpus;

public sealed class GuestPromiseTests
{
    private static readonly GuestPromise Offered = new(2, new CpuidTable([]), "Host", 2_596_128);

    /// <summary>Two hosts measure the frequency of the same processors a little differently, and a guest goes on from one to the other.</summary>
    [Theory]
    [InlineData(2_596_128, true)]
    [InlineData(2_596_120, true)]
    [InlineData(2_596_776, true)]
    [InlineData(2_596_780, false)]
    [InlineData(2_400_000, false)]
    [InlineData(0, false)]
    public void A_state_whose_tsc_runs_nearly_as_promised_is_that_guests(int khz, bool isOf) =>
        Assert.Equal(isOf, Offered.IsOf(Offered with { TscKhz = (uint)khz }));

    [Fact]
    public void A_state_of_another_guest_is_not()
    {
        Assert.False(Offered.IsOf(Offered with { Vcpus = 1 }));
        Assert.False(Offered.IsOf(Offered with { CpuProfile = "x86-64-v2" }));
        Assert.False(Offered.IsOf(Offered with { Cpuid = new CpuidTable([new CpuidEntry { Leaf = 1, Eax = 1 }]) }));
        Assert.True((Offered with { TscKhz = 0 }).IsOf(Offered with { TscKhz = 0 }));
    }
}
