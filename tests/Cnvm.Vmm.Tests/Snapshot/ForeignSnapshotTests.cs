using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>Restores of snapshots that another host, a newer program or another time has made.</summary>
public sealed class ForeignSnapshotTests : IDisposable
{
    private const uint TimeStampCounter = 0x10;

    // IA32_PAT, which holds something from the reset on (SDM vol. 3 §12.12.4), and AMX-TILE, which no hypervisor here has.
    private const uint Pat = 0x277;
    private const uint AmxTile = 1 << 24;
    private readonly SnapshotService _service = new();
    private string _folder = "";

    private string StatePath => Path.Combine(_folder, SnapshotFiles.State);

    private string Url => $"file://{_folder}";

    public void Dispose() => _service.Dispose();

    /// <summary>All at once, before anything is made; the snapshot stays as it is, and a host that has what was lacking restores it.</summary>
    [SkippableFact]
    public void What_this_host_lacks_is_named()
    {
        MachineState state = Take();
        _service.Host.Lacking = Pat;
        Write(StateWriter.Write(WithLeaf7(state), MachineElements.Describe));
        byte[] before = File.ReadAllBytes(StatePath);
        string refusal = _service.Refused(new RestoreConfig(Url));
        Assert.Contains("This host cannot run the snapshot's guest: ", refusal, StringComparison.Ordinal);
        Assert.Contains("CPU feature amx_tile: the guest was shown it, the host lacks it; ", refusal, StringComparison.Ordinal);
        Assert.Contains("MSR 0x277: vCPU 0 of the guest has 0x7040600070406 in it, soft there lacks it", refusal, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(StatePath));

        Write(StateWriter.Write(state, MachineElements.Describe));
        Assert.DoesNotContain("amx_tile", _service.Refused(new RestoreConfig(Url)), StringComparison.Ordinal);
        _service.Host.Lacking = null;
        _service.Vmm.Restore(new RestoreConfig(Url), []);
        _service.GoesOn();
    }

    /// <summary>What a later program may add is refused by name if it matters, and passed over if it does not.</summary>
    [SkippableFact]
    public void What_newer_and_other_programs_wrote_is_told()
    {
        MachineState state = Take();
        byte[] newer = StateWriter.Write(state, MachineElements.Describe);
        newer[8] = 9;
        AssertRefused(newer, "the state has format version 9; this program reads up to version 1");
        AssertRefused(
            StateWriter.Write(state, static (v, s) => WithMore(v, s, ignorable: false)),
            "state/quantum_bus: this program does not know element 99, and the state says that it must; use a newer cnvm");
        byte[] before = File.ReadAllBytes(StatePath);
        File.WriteAllText(StatePath, """{"id":"","snapshots":{"vm":{"snapshots":{},"snapshot_data":{"state":"e30="}}},"snapshot_data":null}""");
        Assert.Contains($"{StatePath} is no snapshot of cnvm", _service.Refused(new RestoreConfig(Url)), StringComparison.Ordinal);
        File.WriteAllBytes(StatePath, before);

        Write(StateWriter.Write(state, static (v, s) => WithMore(v, s, ignorable: true)));
        _service.Vmm.Restore(new RestoreConfig(Url), []);
        _service.GoesOn();

        void AssertRefused(byte[] bytes, string reason)
        {
            Write(bytes);
            string refusal = _service.Refused(new RestoreConfig(Url));
            Assert.Contains($"{StatePath}: ", refusal, StringComparison.Ordinal);
            Assert.Contains(reason, refusal, StringComparison.Ordinal);
        }
    }

    /// <summary>Until everything is made and the vCPUs get their state time goes on, and it counts.</summary>
    [SkippableFact]
    public void Clocks_that_advance_count_how_long_the_machine_is_being_made()
    {
        const ulong Hour = 3_600_000_000_000;
        MachineState taken = Take();
        MachineState saved = taken with { Clock = taken.Clock with { RealtimeNanoseconds = taken.Clock.RealtimeNanoseconds - Hour } };
        Write(StateWriter.Write(saved, MachineElements.Describe));
        _service.Vmm.Restore(new RestoreConfig(Url, Clock: ClockRestoreMode.Advance), []);
        MachineState restored = SnapshotFolder.ReadState(_service.Take("two"));
        ulong passed = restored.Clock.RealtimeNanoseconds - saved.Clock.RealtimeNanoseconds;
        Assert.True(
            restored.Clock.RealtimeNanoseconds >= _service.Host.VcpuMadeAt && _service.Host.VcpuMadeAt > taken.Clock.RealtimeNanoseconds,
            $"the clocks stand at {restored.Clock.RealtimeNanoseconds}, and the vCPU was made at {_service.Host.VcpuMadeAt}");
        Assert.True(restored.Clock.RealtimeNanoseconds <= ParavirtualClock.RealtimeNow);
        Assert.Equal((passed, passed), (restored.Clock.Nanoseconds - saved.Clock.Nanoseconds, restored.VmTime - saved.VmTime));
        VcpuState vcpu = restored.Vcpus[0].State;
        double tsc = (Tsc(vcpu) - Tsc(saved.Vcpus[0].State)) * 1e6 / vcpu.TscKhz;
        Assert.InRange(tsc - passed, -1e9, 1e9);
        _service.GoesOn();
    }

    private static ulong Tsc(VcpuState vcpu) => vcpu.Msrs.Single(m => m.Index == TimeStampCounter).Value;

    private static MachineState WithMore(StateVisitor v, MachineState? s, bool ignorable)
    {
        MachineState state = MachineElements.Describe(v, s);
        v.U32(99, "quantum_bus", 7, ignorable: ignorable);
        return state;
    }

    private static MachineState WithLeaf7(MachineState state)
    {
        VcpuState vcpu = state.Vcpus[0].State;
        CpuidTable shown = new(vcpu.Cpuid.Select(e => e is { Leaf: 7, Subleaf: 0 } ? e with { Edx = e.Edx | AmxTile } : e));
        return state with { Vcpus = [state.Vcpus[0] with { State = vcpu with { Cpuid = shown } }] };
    }

    private MachineState Take()
    {
        _service.StartPaused();
        _folder = _service.Take("one");
        _service.Vmm.Delete();
        return SnapshotFolder.ReadState(_folder);
    }

    private void Write(byte[] state) =>
        File.WriteAllText(StatePath, $$"""{"format":"cnvm-state","version":1,"state":"{{Convert.ToBase64String(state)}}"}""");
}
