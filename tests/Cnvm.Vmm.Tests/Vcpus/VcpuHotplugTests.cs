using Cnvm.Devices.Platform;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Tests.Snapshot;

namespace Cnvm.Vmm.Tests.Vcpus;

/// <summary>vCPUs come and go around a bare-metal guest on the software vCPU, which knows nothing of it: what it would give up is put into its state.</summary>
public sealed class VcpuHotplugTests : IDisposable
{
    private const uint TimeStampCounter = 0x10;
    private readonly SnapshotService _service = new();

    public void Dispose() => _service.Dispose();

    [SkippableFact]
    public void VCPUs_come_while_it_runs_and_while_it_is_paused_and_stay_over_snapshots_and_reboots()
    {
        Start(1, 4);
        _service.Vmm.Resize(new VmResize(2));
        AssertVcpus(2);
        _service.Vmm.Resume();
        _service.Vmm.Resize(new VmResize(4));
        AssertVcpus(4);
        Assert.Contains(Threads(), t => t == "vcpu3");
        _service.Vmm.Pause();
        _service.GoesOn();
        Assert.Contains("desired_vcpus", Assert.Throws<ConfigException>(() => _service.Vmm.Resize(new VmResize(5))).Message, StringComparison.Ordinal);
        Assert.Contains("desired_vcpus", Assert.Throws<ConfigException>(() => _service.Vmm.Resize(new VmResize(0))).Message, StringComparison.Ordinal);

        string folder = _service.Take("four");
        MachineState state = SnapshotFolder.ReadState(folder);
        Assert.Equal([0u, 1u, 2u, 3u], state.Vcpus.Select(v => v.Index));
        Assert.All(state.Vcpus[1..], v => Assert.Equal(MpState.Uninitialized, v.State.MpState));
        Assert.Single(state.Vcpus.Select(v => v.State.Msrs.Single(m => m.Index == TimeStampCounter).Value).Distinct());
        Assert.Equal(GedEvents.CpuChanged, state.Chipset.Ged!.Pending & GedEvents.CpuChanged);
        Assert.Equal([1, 3, 3, 3], state.Chipset.CpuHotplug!.Vcpus);
        _service.Vmm.Delete();
        Restore(folder);
        AssertVcpus(4);
        _service.GoesOn();

        // All of them are there when it begins anew, and may go still.
        _service.Vmm.Reboot();
        AssertVcpus(4);
        Assert.True(_service.Vmm.Machine().PlugsVcpus);
    }

    [SkippableFact]
    public void What_was_asked_for_is_pending_until_the_guest_has_given_it_up()
    {
        Start(3, 4);
        _service.Vmm.Resize(new VmResize(1));
        Assert.Equal((1u, 3), (_service.Vmm.Info().Config.Cpus.BootVcpus, _service.Vmm.Machine().VcpuCount));
        foreach (uint other in new[] { 1u, 2u, 3u, 4u })
        {
            Assert.Equal(VmmErrorKind.Busy, Assert.Throws<VmmException>(() => _service.Vmm.Resize(new VmResize(other))).Kind);
        }

        Assert.Equal(1u, _service.Vmm.Info().Config.Cpus.BootVcpus);
        string folder = _service.Take("leaving");
        _service.Vmm.Delete();
        Restore(folder);
        Assert.Equal(VmmErrorKind.Busy, Assert.Throws<VmmException>(() => _service.Vmm.Resize(new VmResize(2))).Kind);
        _service.Vmm.Delete();

        // The guest gives up the first of the two, and then the other one too.
        Edit(folder, s => s with { Vcpus = [1, 16, 13, 0] });
        Restore(folder);
        Assert.Equal((1u, 2), (_service.Vmm.Info().Config.Cpus.BootVcpus, _service.Vmm.Machine().VcpuCount));
        Assert.Equal(VmmErrorKind.Busy, Assert.Throws<VmmException>(() => _service.Vmm.Resize(new VmResize(2))).Kind);
        string gap = _service.Take("gap");
        Assert.Equal([0u, 2u], SnapshotFolder.ReadState(gap).Vcpus.Select(v => v.Index));
        _service.Vmm.Delete();
        Edit(gap, s => s with { Vcpus = [1, 0, 16, 0] });
        Restore(gap);
        AssertVcpus(1);
        // They come back, and the third one as well.
        _service.Vmm.Resize(new VmResize(4));
        AssertVcpus(4);
        _service.GoesOn();
        string folder4 = _service.Take("back");
        MachineState state = SnapshotFolder.ReadState(folder4);
        Assert.Single(state.Vcpus.Select(v => v.State.Msrs.Single(m => m.Index == TimeStampCounter).Value).Distinct());
    }

    [SkippableFact]
    public void A_guest_may_give_up_a_vCPU_by_itself()
    {
        Start(3, 4);
        string folder = _service.Take("three");
        _service.Vmm.Delete();
        Edit(folder, s => s with { Vcpus = [1, 16, 1, 0] });
        Restore(folder);
        AssertVcpus(2);
        _service.Vmm.Resize(new VmResize(3));
        AssertVcpus(3);
        Assert.Equal([0u, 1u, 2u], SnapshotFolder.ReadState(_service.Take("again")).Vcpus.Select(v => v.Index));
    }

    [SkippableFact]
    public void A_state_that_contradicts_itself_or_the_configuration_is_refused()
    {
        Start(2, 4);
        string folder = _service.Take("two");
        _service.Vmm.Delete();
        foreach ((byte[] vcpus, string why) in new (byte[], string)[]
        {
            ([1, 0, 0, 0], "do not agree about vCPU 1"), ([1, 1, 1, 0], "do not agree about vCPU 2"), ([1, 1], "does not fit a machine of at most 4 vCPUs"), ([1, 33, 0, 0], "0x21"),
            ([1, 1, 0, 0, 0], "cpus.boot_vcpus"), ([1, 8, 0, 0], "do not agree"), ([17, 1, 0, 0], "0x11"),
        })
        {
            CpuHotplugState whole = SnapshotFolder.ReadState(folder).Chipset.CpuHotplug!;
            Edit(folder, s => s with { Vcpus = vcpus });
            Assert.Contains(why, _service.Refused(new RestoreConfig($"file://{folder}")), StringComparison.Ordinal);
            Edit(folder, _ => whole);
        }

        string config = Path.Combine(folder, SnapshotFiles.Config);
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"boot_vcpus\":2", "\"boot_vcpus\":3", StringComparison.Ordinal));
        Assert.Contains("cpus.boot_vcpus: 3 vCPUs; the saved state has 2", _service.Refused(new RestoreConfig($"file://{folder}")), StringComparison.Ordinal);
    }

    [SkippableFact]
    public void VCPUs_of_a_machine_that_was_made_without_room_for_others_are_fixed()
    {
        Start(2, 2);
        _service.Vmm.Resize(new VmResize(2));
        VmmException e = Assert.Throws<VmmException>(() => _service.Vmm.Resize(new VmResize(1)));
        Assert.Equal(VmmErrorKind.Invalid, e.Kind);
        Assert.Contains("max_vcpus", e.Message, StringComparison.Ordinal);
        Assert.Null(SnapshotFolder.ReadState(_service.Take("fixed")).Chipset.CpuHotplug);
    }

    [Fact]
    public void Before_the_boot_the_configuration_changes()
    {
        _service.Vmm.Create(new VmConfig(Cpus: new CpusConfig(1, 4), Payload: new PayloadConfig(Kernel: "/k")));
        _service.Vmm.Resize(new VmResize(4));
        Assert.Equal(4u, _service.Vmm.Info().Config.Cpus.BootVcpus);
        Assert.Contains("at most 4", Assert.Throws<ConfigException>(() => _service.Vmm.Resize(new VmResize(5))).Message, StringComparison.Ordinal);
    }

    private void Start(uint boot, uint most) => _service.StartPaused(c => c with { Cpus = c.Cpus with { BootVcpus = boot, MaxVcpus = most } });

    // There, because what the guest has given up is taken away there too.
    private void Restore(string folder) => _service.OnVmm(vmm => vmm.Restore(new RestoreConfig($"file://{folder}"), []));

    private void AssertVcpus(int count) =>
        Assert.Equal(((uint)count, count), (_service.Vmm.Info().Config.Cpus.BootVcpus, _service.Vmm.Machine().VcpuCount));

    private static void Edit(string folder, Func<CpuHotplugState, CpuHotplugState> change)
    {
        MachineState state = SnapshotFolder.ReadState(folder);
        MachineState changed = state with { Chipset = state.Chipset with { CpuHotplug = change(state.Chipset.CpuHotplug!) } };
        string path = Path.Combine(folder, SnapshotFiles.State);
        string text = File.ReadAllText(path);
        Assert.Contains(Encode(state), text, StringComparison.Ordinal);
        File.WriteAllText(path, text.Replace(Encode(state), Encode(changed), StringComparison.Ordinal));
    }

    private static string Encode(MachineState state) => Convert.ToBase64String(StateWriter.Write(state, MachineElements.Describe));

    private static List<string> Threads()
    {
        List<string> names = [];
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            try
            {
                names.Add(File.ReadAllText($"{task}/comm").Trim());
            }
            catch (IOException)
            {
                // Another test's thread, which has ended since its name was listed: ESRCH or ENOENT.
                continue;
            }
        }

        return names;
    }
}
