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

    /// <summary>A vCPU whose TSC has gone on for a while.</summary>
    public static VcpuState Advance(VcpuState vcpu, ulong nanoseconds) => TryGetTsc(vcpu, out ulong tsc)
        ? WithTsc(vcpu, tsc + (ulong)((UInt128)nanoseconds * vcpu.TscKhz / TicksPerKhzNanosecond), vcpu.TscTimestamp)
        : vcpu;

    /// <summary>Host time at which a TSC that was set began to run.</summary>
    /// <param name="set">The vCPU's state as it was set.</param>
    /// <param name="tsc">What it said a moment later.</param>
    /// <param name="timestamp">Host time of that moment.</param>
    /// <param name="earliest">Host time before it was set.</param>
    /// <param name="latest">Host time afterwards; the answer also where the TSC tells nothing: some hosts do not let it be set.</param>
    public static ulong RunsSince(VcpuState set, ulong tsc, ulong timestamp, ulong earliest, ulong latest)
    {
        if (set.TscKhz == 0 || !TryGetTsc(set, out ulong first))
        {
            return latest;
        }

        ulong since = timestamp - (ulong)((UInt128)(tsc - first) * TicksPerKhzNanosecond / set.TscKhz);
        return since >= earliest && since <= latest ? since : latest;
    }

    private static bool TryGetTsc(VcpuState vcpu, out ulong tsc)
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

    private static VcpuState WithTsc(VcpuState vcpu, ulong tsc, ulong instant)
    {
        var msrs = vcpu.Msrs.ToBuilder();
        for (int i = 0; i < msrs.Count; i++)
        {
            if (msrs[i].Index == TimeStampCounter)
            {
                msrs[i] = msrs[i] with { Value = tsc };
            }
        }

        return vcpu with { Msrs = msrs.DrainToImmutable(), TscTimestamp = instant };
    }
}
