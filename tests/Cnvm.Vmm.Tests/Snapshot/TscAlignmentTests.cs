using Cnvm.Hypervisor.State;
using Cnvm.Tests.State;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

public sealed class TscAlignmentTests
{
    private const uint Khz = 2_000_000;
    private const ulong Instant = 50_000_000_000;

    [Fact]
    public void Readings_of_one_tsc_become_one_value_at_the_instant()
    {
        // Read 100 and 350 microseconds after the instant; the second is 40 ticks off, as readings are.
        VcpuState[] aligned = TscAlignment.ToInstant([Vcpu(1_000_000, 100_000), Vcpu(1_500_040, 350_000)], Instant);
        Assert.Equal([800_000UL, 800_000UL], aligned.Select(Tsc));
        Assert.All(aligned, v => Assert.Equal(Instant, v.TscTimestamp));
    }

    [Fact]
    public void Tscs_that_the_guest_set_apart_stay_apart() =>
        Assert.Equal(
            [800_000UL, 9_000_000_000UL],
            TscAlignment.ToInstant([Vcpu(1_000_000, 100_000), Vcpu(9_000_200_000, 100_000)], Instant).Select(Tsc));

    [Fact]
    public void A_reading_before_the_instant_is_moved_forward() =>
        Assert.Equal(1_200_000UL, Tsc(TscAlignment.ToInstant([Vcpu(1_000_000, -100_000)], Instant)[0]));

    [Fact]
    public void Without_a_timestamp_nothing_is_known()
    {
        VcpuState vcpu = Vcpu(1_000_000, 0) with { TscTimestamp = 0 };
        Assert.Equal(1_000_000UL, Tsc(TscAlignment.ToInstant([vcpu], Instant)[0]));
    }

    [Fact]
    public void A_tsc_goes_on_at_its_own_frequency() =>
        Assert.Equal(1_000_000UL + (Khz * 1_500UL), Tsc(TscAlignment.Advance(Vcpu(1_000_000, 0), 1_500_000_000)));

    [Fact]
    public void A_tsc_tells_since_when_it_runs_unless_it_cannot_be_set()
    {
        VcpuState set = Vcpu(1_000_000, 0);
        Assert.Equal(Instant + 50_000, TscAlignment.RunsSince(set, 1_100_000, Instant + 100_000, Instant + 40_000, Instant + 90_000));
        Assert.Equal(Instant + 90_000, TscAlignment.RunsSince(set, 9_000_000_000, Instant + 100_000, Instant + 40_000, Instant + 90_000));
        Assert.Equal(Instant + 90_000, TscAlignment.RunsSince(set, 900_000, Instant + 100_000, Instant + 40_000, Instant + 90_000));
        Assert.Equal(Instant + 90_000, TscAlignment.RunsSince(set with { Msrs = [] }, 1_100_000, Instant + 100_000, Instant + 40_000, Instant + 90_000));
    }

    private static VcpuState Vcpu(ulong tsc, long after) => new StateFiller().Fill<VcpuState>() with
    {
        Msrs = [new MsrValue(0x10, tsc), new MsrValue(0x277, 5)],
        TscKhz = Khz,
        TscTimestamp = (ulong)((long)Instant + after),
    };

    private static ulong Tsc(VcpuState vcpu) => vcpu.Msrs.Single(m => m.Index == 0x10).Value;
}
