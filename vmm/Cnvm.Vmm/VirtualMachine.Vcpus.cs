using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Platform;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Platform;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Vcpus;
using CpuTopology = Cnvm.Arch.Machine.CpuTopology;

namespace Cnvm.Vmm;

/// <content>vCPUs: those of the configuration or of a saved state, and those that come and go while the machine runs.</content>
internal sealed partial class VirtualMachine
{
    private readonly VcpuSet _vcpus = new();
    private readonly CpusConfig _cpus;
    private readonly CpuTopology _topology;
    private readonly CpuModelProfile _cpuModel;
    private readonly VcpuBus _vcpuBus;

    // No hypervisor takes a vCPU back: one that the guest has given up waits here, by index, for its next use.
    private readonly Dictionary<int, IVirtualCpu> _spare = [];

    // How the vCPUs that may go were created, by index; empty where none does.
    private readonly Dictionary<int, VcpuState> _created = [];
    private bool _plugsVcpus;
    private CpuidTable? _bootCpuid;

    /// <summary>Whether vCPUs may come and go; the guest was told so when it booted.</summary>
    public bool PlugsVcpus => _chipset.CpuHotplug is not null;

    /// <summary>How many vCPUs there are, those included that the guest was asked to give up.</summary>
    public int VcpuCount => _vcpus.Count;

    /// <summary>The guest was asked to give vCPUs up and has not done so yet.</summary>
    public bool IsVcpuRemovalPending => _chipset.CpuHotplug?.IsRemovalPending is true;

    /// <summary>Asks the guest once more to give up the vCPUs that it was asked for.</summary>
    public void RepeatVcpuRemoval() => _chipset.CpuHotplug?.RepeatRequests();

    /// <summary>
    /// Makes vCPUs and tells the guest, or asks it to give up those with the highest indices. No removal is pending. It runs or is paused.
    /// </summary>
    /// <param name="desired">1 to the machine's most.</param>
    /// <exception cref="HypervisorException">A vCPU could not be made; nothing has changed.</exception>
    public void ResizeVcpus(int desired)
    {
        CpuHotplug hotplug = _chipset.CpuHotplug ?? throw new InvalidOperationException("the machine's vCPUs are fixed");
        if (desired > _vcpus.Count)
        {
            hotplug.NotifyAdded(PlugVcpus(desired));
        }
        else if (desired < _vcpus.Count)
        {
            hotplug.RequestEject([.. Enumerable.Range(desired, _vcpus.Count - desired).Select(position => _vcpus[position].Index)]);
        }
    }

    /// <summary>Takes away the vCPUs that the guest has given up; returns their indices.</summary>
    public IReadOnlyList<int> RemoveEjectedVcpus()
    {
        IReadOnlyList<int> gone = _chipset.CpuHotplug?.TakeEjected() ?? [];
        if (gone.Count > 0)
        {
            WhileParked(() =>
            {
                VcpuState first = _vcpus[0].Save();
                foreach (int index in gone)
                {
                    IVirtualCpu vcpu = _vcpus.Remove(index);
                    _spare.Add(index, vcpu);

                    // Its local APIC takes no interrupts any more; a TSC of its own would confuse the hypervisor about those of the others.
                    vcpu.Restore(PluggedVcpu.Join(_created[index], first));
                }
            });
        }

        return gone;
    }

    private static void CheckVcpuCount(IHypervisor hypervisor, VmConfig config)
    {
        if (config.Cpus.MaxVcpus > (uint)hypervisor.Capabilities.MaxVcpus)
        {
            throw new MachineBuildException(
                $"cpus.max_vcpus: {config.Cpus.MaxVcpus} vCPUs; {hypervisor.Name} on this host runs at most {hypervisor.Capabilities.MaxVcpus} in one machine");
        }
    }

    private void AddVcpus(IHypervisor hypervisor, PhysicalLayout layout, MachineState? saved)
    {
        var cpuid = new CpuidConfig
        {
            Topology = _topology,
            PhysicalBits = layout.PhysicalBits,
            Nested = _cpus.Nested,
            X2Apic = hypervisor.Capabilities.X2Apic,
            Profile = _cpuModel,
        };
        int count = saved?.Vcpus.Length ?? (int)_cpus.BootVcpus;
        for (int i = 0; i < count; i++)
        {
            int index = saved is null ? i : IndexOf(saved.Vcpus[i]);
            CpuidTable shown = saved?.Vcpus[i].State.Cpuid ?? CpuidModel.Build(hypervisor.SupportedCpuid, cpuid, index);
            _bootCpuid ??= shown;
            StartVcpu(index, CreateVcpu(index, shown, isNew: saved is null));
        }
    }

    /// <exception cref="MachineBuildException">The configuration has no such vCPU, or has it elsewhere.</exception>
    private int IndexOf(VcpuSlotState vcpu)
    {
        if (vcpu.Index >= (uint)_topology.Count)
        {
            throw new MachineBuildException($"cpus.max_vcpus: {_topology.Count} vCPUs; the saved state has vCPU {vcpu.Index}");
        }

        uint apicId = _topology.ApicIdOf((int)vcpu.Index);
        return vcpu.ApicId == apicId
            ? (int)vcpu.Index
            : throw new MachineBuildException(
                $"cpus.topology: vCPU {vcpu.Index} has APIC id {apicId}; in the snapshot it has {vcpu.ApicId}");
    }

    /// <exception cref="MachineBuildException">The vCPUs are not those that the configuration asks for.</exception>
    private void CheckPresent(MachineState state)
    {
        uint boot = _cpus.BootVcpus;
        if (state.Chipset.CpuHotplug is not { } hotplug)
        {
            if (boot != (uint)state.Vcpus.Length)
            {
                throw new MachineBuildException($"cpus.boot_vcpus: {boot} vCPUs; the saved state has {state.Vcpus.Length}");
            }

            return;
        }

        int stays = 0;
        int next = 0;
        for (int i = 0; i < hotplug.Vcpus.Length; i++)
        {
            stays += ((CpuHotplugFlags)hotplug.Vcpus[i] & (CpuHotplugFlags.Present | CpuHotplugFlags.Leaving)) == CpuHotplugFlags.Present ? 1 : 0;
            bool isThere = next < state.Vcpus.Length && state.Vcpus[next].Index == i;
            next += isThere ? 1 : 0;
            if (hotplug.Has(i) != isThere)
            {
                throw new MachineBuildException($"the saved state contradicts itself: its hot-plug registers and its vCPUs do not agree about vCPU {i}");
            }
        }

        if (boot < stays || boot > state.Vcpus.Length)
        {
            throw new MachineBuildException($"cpus.boot_vcpus: {boot} vCPUs; the saved state has {stays}");
        }
    }

    private List<int> PlugVcpus(int desired)
    {
        List<int> made = [];
        WhileParked(() =>
        {
            // Saved once for all, so that all have its TSC.
            VcpuState first = _vcpus[0].Save();
            try
            {
                for (int index = 1; _vcpus.Count < desired; index++)
                {
                    if (!_vcpus.Has(index))
                    {
                        PlugVcpu(index, first);
                        made.Add(index);
                    }
                }
            }
            catch
            {
                foreach (int index in made)
                {
                    _spare.Add(index, _vcpus.Remove(index));
                }

                throw;
            }
        });
        return made;
    }

    private void PlugVcpu(int index, VcpuState first)
    {
        if (!_spare.Remove(index, out IVirtualCpu? vcpu))
        {
            vcpu = CreateVcpu(index, CpuidModel.ForVcpu(_bootCpuid!, _topology, index), isNew: true);
        }

        try
        {
            vcpu.Restore(PluggedVcpu.Join(_created[index], first));
        }
        catch
        {
            _spare.Add(index, vcpu);
            throw;
        }

        StartVcpu(index, vcpu);
    }

    /// <param name="isNew">It begins as the profile says; otherwise its state follows.</param>
    private IVirtualCpu CreateVcpu(int index, CpuidTable shown, bool isNew)
    {
        IVirtualCpu vcpu = _partition.CreateVcpu(index, _topology.ApicIdOf(index), shown, _vcpuBus);
        try
        {
            if (isNew && _cpuModel.Msrs.Count > 0)
            {
                vcpu.Restore(CpuProfileSource.WithMsrs(vcpu.Save(), _cpuModel));
            }

            if (_plugsVcpus && index > 0)
            {
                _created.Add(index, vcpu.Save());
            }

            return vcpu;
        }
        catch
        {
            vcpu.Dispose();
            throw;
        }
    }

    private void StartVcpu(int index, IVirtualCpu vcpu)
    {
        int[]? hostCpus = _cpus.Affinity?.FirstOrDefault(a => a.Vcpu == index) is { } affinity
            ? Array.ConvertAll(affinity.HostCpus.ToArray(), c => (int)c)
            : null;
        try
        {
            _vcpus.Add(vcpu, hostCpus, OnVcpuStop);
        }
        catch
        {
            _spare.Add(index, vcpu);
            throw;
        }
    }

    /// <summary>Does something that no guest code may see half done.</summary>
    private void WhileParked(Action change)
    {
        bool isRunning = _pausedClock is null;
        if (isRunning)
        {
            _vcpus.Park();
        }

        try
        {
            change();
        }
        finally
        {
            if (isRunning && !HasEnded)
            {
                _vcpus.Run();
            }
        }
    }

    private void OnVcpuStop(int vcpu, VcpuStop stop)
    {
        switch (stop.Reason)
        {
            case VcpuStopReason.Shutdown:
                Request(GuestRequest.Reset, $"triple fault on vcpu{vcpu}");
                break;
            default:
                Request(GuestRequest.Failed, stop.Report ?? $"vcpu{vcpu} stopped: {stop.Reason}");
                break;
        }
    }
}
