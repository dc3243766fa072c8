using Cnvm.Arch.Machine;
using Cnvm.Devices;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Transport;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm.Platform;

/// <summary>The machine's virtio devices, behind PCI or memory-mapped transports as the profile says.</summary>
internal sealed class VirtioSet(
    PhysicalLayout layout,
    Chipset chipset,
    GuestMemory memory,
    IMsiController msi,
    IDoorbellRegistrar doorbells,
    ILogger logger) : IDisposable
{
    private readonly List<VirtioSlot> _slots = [];
    private Dictionary<string, PciAddress> _places = [];
    private HashSet<PciAddress> _reserved = [];
    private Action<string, bool>? _onActivity;

    public IEnumerable<VirtioDevice> Devices => _slots.Select(s => s.Device);

    /// <summary>Indices of the memory-mapped transports in use.</summary>
    public IReadOnlyList<int> MmioTransports => layout.Profile.VirtioMmio is null ? [] : [.. Enumerable.Range(0, _slots.Count)];

    /// <summary>Gives a device a place. The set owns it from now on, also when this fails.</summary>
    /// <param name="segment">PCI segment; 0 on machines without PCI.</param>
    /// <param name="slot">PCI slot; null for the lowest free one.</param>
    /// <exception cref="MachineBuildException">There is no place; the set has not got the device.</exception>
    public void Add(VirtioDevice device, int segment = 0, int? slot = null)
    {
        if (chipset.Pci is { } host)
        {
            PciAddress? place = _places.TryGetValue(device.Id, out PciAddress saved) ? saved : null;
            AddPci(host, device, place?.Segment ?? segment, place?.Slot ?? slot);
        }
        else
        {
            AddMmio(device);
        }
    }

    /// <summary>
    /// Devices that stand in a saved state will be where they were there: with functions that came and went, the order of the configuration
    /// does not tell it.
    /// </summary>
    public void KeepPlaces(IReadOnlyList<VirtioSlotState> states)
    {
        // A state that stands twice is refused when it is restored.
        _places = states.Where(s => s.Pci is not null).DistinctBy(s => s.Id).ToDictionary(
            s => s.Id, s => new PciAddress((int)(s.Place / PciSegment.SlotCount), (int)(s.Place % PciSegment.SlotCount)));
    }

    /// <summary>Slots that devices of the configuration ask for are given to no other when the machine is built.</summary>
    public void Reserve(IEnumerable<IPciDeviceConfig> devices)
    {
        _reserved = [];
        foreach (IPciDeviceConfig device in devices)
        {
            if (device.PciDeviceId is { } slot)
            {
                _reserved.Add(new PciAddress(device.PciSegment, slot));
            }
        }
    }

    /// <summary>Where a device's function is; null where there is no PCI.</summary>
    public PciAddress? PlaceOf(string id) => _slots.First(s => s.Device.Id == id).Pci?.Address;

    /// <summary>The device in a PCI slot; null if none of these is there.</summary>
    public string? DeviceAt(PciAddress place) => _slots.FirstOrDefault(s => s.Pci?.Address == place)?.Device.Id;

    /// <summary>Stops a device that has come while the machine is paused.</summary>
    public void Pause(string id) => _slots.First(s => s.Device.Id == id).Pause();

    /// <summary>Takes a PCI device away and ends it. No vCPU runs.</summary>
    public void Remove(string id)
    {
        VirtioSlot slot = _slots.First(s => s.Device.Id == id);
        _slots.Remove(slot);
        chipset.Pci!.Detach(slot.Pci!);
        slot.Dispose();
    }

    /// <summary>
    /// From now on <paramref name="onActivity"/> is told, by device id, when drivers take devices, also those that come later, and let go of
    /// them.
    /// </summary>
    public void Observe(Action<string, bool> onActivity)
    {
        _onActivity = onActivity;
        foreach (VirtioDevice device in Devices)
        {
            Observe(device);
        }
    }

    public void Pause()
    {
        foreach (VirtioSlot slot in _slots)
        {
            slot.Pause();
        }
    }

    public void Resume()
    {
        foreach (VirtioSlot slot in _slots)
        {
            slot.Resume();
        }
    }

    /// <summary>Waits until the memory is here that <see cref="Resume"/> looks at. Paused.</summary>
    /// <exception cref="IOException">It will not come.</exception>
    public void AwaitRings()
    {
        foreach (VirtioSlot slot in _slots)
        {
            slot.AwaitRings();
        }
    }

    /// <summary>Devices and their transports, in the order in which they were made.</summary>
    public IEnumerable<DeviceNode> Describe() => _slots.SelectMany(s => s.Describe());

    /// <summary>Gives a disk another size, with its queues stopped meanwhile.</summary>
    /// <param name="resume">The machine runs, so the queues go on.</param>
    /// <exception cref="BlockImageException">The image cannot have it; nothing has changed.</exception>
    public void ResizeDisk(string id, ulong bytes, bool resume)
    {
        VirtioSlot slot = _slots.First(s => s.Device.Id == id);
        slot.Pause();
        try
        {
            ((BlockDevice)slot.Device).Resize(bytes);
        }
        finally
        {
            if (resume)
            {
                slot.Resume();
            }
        }
    }

    /// <summary>The state of every device, by rising place; nothing changes. Paused.</summary>
    public VirtioSlotState[] Save() => [.. _slots.Select(s => s.Save()).OrderBy(s => s.Place)];

    /// <summary>Takes states over, by device id; queues stay stopped until <see cref="Resume"/>.</summary>
    /// <exception cref="DeviceStateException">A device has no state, a state no device, or one does not fit.</exception>
    public void Restore(IReadOnlyList<VirtioSlotState> states)
    {
        Dictionary<string, VirtioSlotState> left = [];
        foreach (VirtioSlotState state in states)
        {
            if (!left.TryAdd(state.Id, state))
            {
                throw new DeviceStateException(state.Id, nameof(state.Id), "the state stands twice");
            }
        }

        foreach (VirtioSlot slot in _slots)
        {
            if (!left.Remove(slot.Device.Id, out VirtioSlotState? state))
            {
                throw new DeviceStateException(slot.Device.Id, nameof(state.Id), "there is no state for this device");
            }

            slot.Restore(state);
        }

        if (left.Count > 0)
        {
            throw new DeviceStateException(left.Keys.First(), nameof(VirtioSlotState.Id), "this machine has no such device");
        }
    }

    public void Dispose()
    {
        foreach (VirtioSlot slot in _slots)
        {
            slot.Dispose();
        }

        _slots.Clear();
    }

    private void AddPci(PciHost host, VirtioDevice device, int segment, int? slot)
    {
        VirtioPciFunction function;
        int place;
        try
        {
            // The slot is chosen first because the interrupt pin is wired by slot.
            place = slot ?? host.GetSegment(segment).FreeSlot(_reserved)
                ?? throw new MachineBuildException($"{device.Id}: all slots of PCI segment {segment} are taken");
            IInterruptLine pin = chipset.CreateIntx(place, out uint gsi);
            var options = new PciTransportOptions { InterruptLine = pin, InterruptLineNumber = (byte)gsi };
            function = new VirtioPciFunction(device, memory, msi, doorbells, options, logger);
        }
        catch (PciTopologyException e)
        {
            device.Dispose();
            throw new MachineBuildException($"{device.Id}: {e.Message}", e);
        }
        catch
        {
            device.Dispose();
            throw;
        }

        try
        {
            host.Attach(function, segment, place);
        }
        catch (PciTopologyException e)
        {
            function.Dispose();
            throw new MachineBuildException(e.Message, e);
        }

        _slots.Add(new VirtioSlot(function));
        Observe(device);
    }

    private void Observe(VirtioDevice device)
    {
        if (_onActivity is { } onActivity)
        {
            device.ActivityChanged = active => onActivity(device.Id, active);
        }
    }

    private void AddMmio(VirtioDevice device)
    {
        VirtioMmioLayout mmio = layout.Profile.VirtioMmio!;
        int index = _slots.Count;
        if (index == mmio.Count)
        {
            device.Dispose();
            throw new MachineBuildException($"{device.Id}: the {layout.Profile.Name} machine has only {mmio.Count} virtio devices");
        }

        var transport = new VirtioMmioTransport(device, memory, chipset.GsiLine(mmio.GsiOf(index)), logger);
        _slots.Add(new VirtioSlot(transport, index, mmio.AddressOf(index)));
        chipset.Memory.Register(mmio.AddressOf(index), VirtioMmioTransport.Size, transport, device.Id);
        transport.BindDoorbells(doorbells, mmio.AddressOf(index));
    }
}
