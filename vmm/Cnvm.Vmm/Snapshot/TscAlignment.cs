using Cnvm.Hypervisor.State;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Brings the TSCs of a machine's vCPUs, which were read one after the other, to one instant: the one at which its clocks stopped.
/// </summary>
internal static class TscAlignment
{
    private const uint TimeStampCounter = 0x10;
    private const ulong TicksPerKhzNanosecond = 1_000_000;

    // What reading them one after the other can put between TSCs that are one: beyond it the guest has set them apart.
    private const ulong ReadingNanoseconds = 1_000_000;

    public static VcpuState[] ToInstant(VcpuState[] vcpus, ulong instant)
    {
        var ticks = new ulong?[vcpus.Length];
        for (int i = 0; i < vcpus.Length; i++)
        {
            if (vcpus[i].TscTimestamp != 0 && TryGetTsc(vcpus[i], out ulong tsc))
            {
                long since = (long)(vcpus[i].TscTimestamp - instant);
                ticks[i] = tsc - (ulong)(long)((Int128)since * vcpus[i].TscKhz / TicksPerKhzNanosecond);
            }
        }

        if (ticks[0] is { } first)
        {
            ulong near = ReadingNanoseconds * vcpus[0].TscKhz / TicksPerKhzNanosecond;
            for (int i = 1; i < vcpus.Length; i++)
            {
                if (ticks[i] is { } other && vcpus[i].TscKhz == vcpus[0].TscKhz && (ulong)Math.Abs((long)(other - first)) <= near)
                {
                    ticks[i] = first;
                }
            }
        }

        return [.. vcpus.Select((v, i) => ticks[i] is { } tsc ? WithTsc(v, tsc, instant) : v)];
    }

    /// <summary>The TSC in a saved state.</summary>
    public static bool TryGetTsc(VcpuState vcpu, out ulong tsc)
    {
        foreach (MsrValue msr in vcpu.Msrs)
        {
            if (msr.Index == TimeStampCounter)
            {
                tsc = msr.Value;
                return true;
            }
        }

        tsc = 0;
        return false;
    }

    private static VcpuState WithTsc(VcpuState vcpu, ulong tsc, ulong instant) => vcpu with
    {
        Msrs = [.. vcpu.Msrs.Select(m => m.Index == TimeStampCounter ? new MsrValue(TimeStampCounter, tsc) : m)],
        TscTimestamp = instant,
    };
}
