using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Tests.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// Hosts that cannot scale their TSC, each a little faster than the one before: what a guest was promised on the first one counts, however often it has moved.
/// </summary>
public sealed class ThirdHostTests : IDisposable
{
    // Within the 250 millionths that are borne, and twice of it not.
    private const uint StepMillionths = 200;
    private readonly SnapshotService[] _hosts = [new(), new(), new()];

    public void Dispose() => Array.ForEach(_hosts, h => h.Dispose());

    [SkippableFact]
    public void A_third_one_that_differs_too_much_from_the_first_is_refused_though_it_does_not_from_the_second()
    {
        uint khz = _hosts[0].Host.GuestTscKhz;
        uint step = (uint)((ulong)khz * StepMillionths / 1_000_000);
        for (uint i = 0; i < _hosts.Length; i++)
        {
            _hosts[i].Host.CannotScale = true;
            _hosts[i].Host.FasterKhz = i * step;
        }

        _hosts[0].StartPaused();
        _hosts[0].OnVmm(vmm => vmm.Resume());
        MigrationInfo info = ServiceMove.Run(_hosts[0], _hosts[1], "first");
        Assert.Equal((MigrationPhase.Completed, null), (info.Phase, info.Error));
        _hosts[1].OnVmm(vmm => Assert.Equal((VmState.Running, khz), (vmm.Info().State, vmm.Machine().Promise(_hosts[1].Host).TscKhz)));

        info = ServiceMove.Run(_hosts[1], _hosts[2], "second");
        Assert.Equal(
            (MigrationPhase.Failed, $"the target refuses: TSC frequency: the guest's runs at {khz} kHz, the host's at {khz + (2 * step)} kHz, and the host cannot scale it"),
            (info.Phase, info.Error));
        Assert.Equal((GuestPlace.Here, 0u, null), (info.Guest, info.Rounds, info.DowntimeMs));
        WaitForRound(_hosts[1].Vmm.Machine(), Round(_hosts[1].Vmm.Machine()) + 2);

        // One that was promised the second host's frequency goes there.
        _hosts[0].Host.FasterKhz = step;
        _hosts[0].StartPaused();
        _hosts[0].OnVmm(vmm => vmm.Resume());
        info = ServiceMove.Run(_hosts[0], _hosts[2], "third");
        Assert.Equal((MigrationPhase.Completed, null), (info.Phase, info.Error));
    }
}
