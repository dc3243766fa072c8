using Cnvm.Arch.Acpi;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Platform;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.VhostUser;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm;

/// <content>Memory that is added while the machine runs.</content>
internal sealed partial class VirtualMachine
{
    private readonly GuestAddressSpace _space;
    private readonly AddressRange _hotplugRam;

    // One for each slot of the controller that has memory.
    private readonly List<AddressRange> _added;

    /// <summary>Why the machine takes no more memory; null if it does, as far as is known before it is asked of the host.</summary>
    public string? MemoryObstacle()
    {
        if (_chipset.MemoryHotplug is null)
        {
            return _hotplugRam.Length == 0
                ? "the VM has no memory.hotplug_size, so its guest was told of no place for more memory"
                : $"this {_profileName} machine has no ACPI, by which its guest would be told";
        }

        if (_added.Count == MemoryHotplugDevice.Slots)
        {
            return $"all {MemoryHotplugDevice.Slots} slots have memory: a reboot puts it together in one of them";
        }

        return _virtio.Devices.OfType<VhostUserDevice>().Select(d => d.MemoryObstacle(_memory.Regions.Count + 1)).FirstOrDefault(o => o is not null);
    }

    /// <summary>
    /// Gives the machine more memory and tells the guest. It runs or is paused; one that runs stands still while the hypervisor and the
    /// devices' back ends learn of it. What recorded changes (<see cref="Changes"/>) ends: its pages are of the memory as it was.
    /// </summary>
    /// <param name="memory">What is to be behind it.</param>
    /// <param name="bytes">A multiple of <see cref="MemoryConfig.HotplugBlock"/>, for which there is room; nothing else is in the way (<see cref="MemoryObstacle"/>).</param>
    /// <exception cref="GuestRamException">The host cannot give it; nothing has changed.</exception>
    /// <exception cref="HypervisorException">The hypervisor refused; nothing has changed.</exception>
    public void AddMemory(MemoryConfig memory, ulong bytes)
    {
        MemoryHotplug controller = _chipset.MemoryHotplug ?? throw new InvalidOperationException("the machine takes no memory");
        var range = new AddressRange(_added.Count > 0 ? _added[^1].End : _hotplugRam.Start, bytes);
        RamPiece piece = RamPlan.PlainPiece(memory, range);

        // This may take long, and the guest runs meanwhile.
        RamRegion region = GuestRamAllocator.Extend(_space, piece);
        bool isRunning = _pausedClock is null;
        if (isRunning)
        {
            Pause();
        }

        try
        {
            MapAdded(region);
            _ramPlan = [.. _ramPlan, piece];
            _added.Add(range);
            foreach (VhostUserDevice device in _virtio.Devices.OfType<VhostUserDevice>())
            {
                device.ShareAddedMemory();
            }

            controller.Insert(range);
        }
        finally
        {
            if (isRunning && !HasEnded)
            {
                Resume();
            }
        }
    }

    /// <summary>Where all RAM of a saved machine lies, and what its configuration puts behind it.</summary>
    /// <exception cref="MachineBuildException">The configuration has no place for what the machine has.</exception>
    /// <exception cref="MachineLayoutException">The configuration's memory does not fit the address space.</exception>
    internal static IReadOnlyList<RamPiece> PlanRam(VmConfig config, MachineState state)
    {
        PhysicalLayout layout = PlanLayout(config, CpuidModel.PhysicalBits(GuestPromise.Of(state).Cpuid, config.Cpus.MaxPhysBits));
        List<AddressRange> added = AddedMemory(config, layout, Array.ConvertAll(state.Memory.Ranges, static r => new AddressRange(r.Gpa, r.Size)));
        return RamPlan.Create(config.Memory, [.. layout.RamRegions, .. added]);
    }

    private void MapAdded(RamRegion region)
    {
        StopTrackingChanges();
        _tracking = null;
        try
        {
            _partition.MapRam(region);
        }
        catch
        {
            _space.Vacate(region.Gpa, region.Size);
            throw;
        }

        _memory.Add(region);
    }

    /// <summary>What is in the slots of the controller when the machine is made.</summary>
    /// <param name="saved">All RAM of a machine that goes on here; null for a machine that boots, which has all of it in one slot.</param>
    /// <exception cref="MachineBuildException">There is no place for it, or it is not the configuration's.</exception>
    private static List<AddressRange> AddedMemory(VmConfig config, PhysicalLayout layout, IEnumerable<AddressRange>? saved)
    {
        ulong bytes = config.Memory.HotpluggedSize ?? 0;
        if (bytes > 0 && layout.MemoryHotplugAddress == 0)
        {
            throw new MachineBuildException($"memory.hotplugged_size: this {layout.Profile.Name} machine has no ACPI, by which its guest would find that memory");
        }

        if (saved is null)
        {
            return bytes > 0 ? [new AddressRange(layout.HotplugRam.Start, bytes)] : [];
        }

        List<AddressRange> added = [.. saved.Where(r => layout.HotplugRam.Length > 0 && r.Start >= layout.HotplugRam.Start)];
        ulong next = layout.HotplugRam.Start;
        foreach (AddressRange range in added)
        {
            if (range.Start != next || range.Length % MemoryConfig.HotplugBlock != 0 || range.Length > layout.HotplugRam.End - next)
            {
                throw new MachineBuildException($"memory: {range.Length >> 20} MiB at 0x{range.Start:x} cannot have been added to a machine like the configuration's");
            }

            next = range.End;
        }

        return added.Count <= MemoryHotplugDevice.Slots && next - layout.HotplugRam.Start == bytes
            ? added
            : throw new MachineBuildException(
                $"memory.hotplugged_size: {bytes >> 20} MiB; the saved machine has {(next - layout.HotplugRam.Start) >> 20} MiB in {added.Count} slots");
    }
}
