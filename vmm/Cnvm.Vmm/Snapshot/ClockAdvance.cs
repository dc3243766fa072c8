using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Lets the clocks of a saved machine go on: TSC, paravirtual clock and VM time, by the same amount.</summary>
internal static class ClockAdvance
{
    /// <summary>How long ago, in nanoseconds, a machine's clocks stopped, whenever that is asked; null if they are to go on where they stood.</summary>
    /// <param name="realtime">Reads the host's wall clock (CLOCK_REALTIME) in nanoseconds.</param>
    /// <exception cref="SnapshotException">The clocks should have gone on, and the state does not say since when.</exception>
    public static Func<ulong>? Age(MachineState state, ClockRestoreMode mode, Func<ulong> realtime)
    {
        if (mode == ClockRestoreMode.Hold)
        {
            return null;
        }

        ulong stopped = state.Clock.RealtimeNanoseconds;
        if (stopped == 0)
        {
            throw new SnapshotException("clock Advance: the snapshot does not say at what time it was taken; use Hold");
        }

        return () =>
        {
            // A host whose clock is behind the other's: a guest's clock never goes back.
            ulong now = realtime();
            return now > stopped ? now - stopped : 0;
        };
    }

    /// <param name="nanoseconds">
    /// By how much. All clocks by the same: a guest that compares them with each other finds no difference.
    /// </param>
    public static MachineState By(MachineState state, ulong nanoseconds) => state with
    {
        Clock = state.Clock with
        {
            Nanoseconds = state.Clock.Nanoseconds + nanoseconds,
            RealtimeNanoseconds = state.Clock.RealtimeNanoseconds + (state.Clock.RealtimeNanoseconds == 0 ? 0 : nanoseconds),
        },
        VmTime = state.VmTime + nanoseconds,
        Vcpus = [.. state.Vcpus.Select(v => v with { State = TscAlignment.Advance(v.State, nanoseconds) })],
    };
}
