using Cnvm.Hypervisor.State;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm;

/// <content>
/// A guest compares its clocks with each other, and distrusts one for good that is half a millisecond off. Reading or setting one takes
/// microseconds, unless the host does something else in between: then it is done again.
/// </content>
internal sealed partial class VirtualMachine
{
    private const ulong PromptNanoseconds = 50_000;
    private const int ClockAttempts = 5;
    private const ulong TicksPerKhzNanosecond = 1_000_000;

    /// <summary>The paravirtual clock, and the host's instant that belongs to it.</summary>
    private (ParavirtualClock Clock, ulong Instant) ReadClock()
    {
        for (int attempt = 1; ; attempt++)
        {
            ulong before = HostNanoseconds();
            ParavirtualClock clock = _partition.SaveClock();
            ulong took = HostNanoseconds() - before;
            if (took <= PromptNanoseconds || attempt == ClockAttempts)
            {
                return (clock, before + (took / 2));
            }
        }
    }

    /// <summary>
    /// A restored TSC runs from the moment on in which it was set: the other clocks catch up with it. What it says is asked for, as it
    /// cannot be told when exactly it was set.
    /// </summary>
    private void ContinueClocks(ParavirtualClock clock, ulong restoredTsc)
    {
        ulong vmTime = _chipset.Clock.Nanoseconds;
        for (int attempt = 1; ; attempt++)
        {
            VcpuState first = _vcpus[0].Save();
            bool tells = TscAlignment.TryGetTsc(first, out ulong tsc) && first.TscKhz != 0 && first.TscTimestamp != 0 && tsc >= restoredTsc;
            ulong instant = tells ? first.TscTimestamp : _pausedAt;
            ulong until = tells ? (ulong)((UInt128)(tsc - restoredTsc) * TicksPerKhzNanosecond / first.TscKhz) : 0;
            ulong before = HostNanoseconds();
            ulong since = until + (before - instant);
            _partition.RestoreClock(clock with { Nanoseconds = clock.Nanoseconds + since });
            _chipset.Clock.Restore(vmTime + since);
            if (HostNanoseconds() - before <= PromptNanoseconds || attempt == ClockAttempts)
            {
                return;
            }
        }
    }
}
