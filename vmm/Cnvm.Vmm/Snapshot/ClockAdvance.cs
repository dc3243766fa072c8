using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Lets the clocks of a saved machine go on: TSC, paravirtual clock and VM time, by the same amount.</summary>
internal static class ClockAdvance
{
    /// <param name="realtime">The host's wall clock (CLOCK_REALTIME) in nanoseconds.</param>
    /// <exception cref="SnapshotException">The clocks should have gone on, and the state does not say since when.</exception>
    public static MachineState Apply(MachineState state, ClockRestoreMode mode, ulong realtime)
    {
        if (mode == ClockRestoreMode.Hold)
        {
            return state;
        }

        if (state.Clock.RealtimeNanoseconds == 0)
        {
            throw new SnapshotException("clock Advance: the snapshot does not say at what time it was taken; use Hold");
        }

        // A host whose clock is behind the other's: a guest's clock never goes back.
        ulong since = realtime > state.Clock.RealtimeNanoseconds ? realtime - state.Clock.RealtimeNanoseconds : 0;
        return By(state, since);
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
