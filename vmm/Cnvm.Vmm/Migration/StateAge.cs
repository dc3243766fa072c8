using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Lets the clocks of a saved machine go on by the time in which it moved. All of them by the same: a guest that compares its clocks finds
/// no difference, and one that compares them with the world finds them right.
/// </summary>
internal static class StateAge
{
    public static MachineState Add(MachineState state, ulong nanoseconds) => state with
    {
        Clock = state.Clock with { Nanoseconds = state.Clock.Nanoseconds + nanoseconds },
        VmTime = state.VmTime + nanoseconds,
        Vcpus = [.. state.Vcpus.Select(v => v with { State = TscAlignment.Advance(v.State, nanoseconds) })],
    };
}
