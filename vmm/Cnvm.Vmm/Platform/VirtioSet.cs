using Cnvm.Arch.Machine;
using Cnvm.Devices;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio;
using Cnvm.Virtio.Transport;
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

    public IEnumerable<VirtioDevice> Devices => _slots.Select(s => s.Device);

    /// <summary>Indices of the memory-mapped transports in use.</summary>
    public IReadOnlyList<int> MmioTransports => layout.Profile.VirtioMmio is null ? [] : [.. Enumerable.Range(0, _slots.Count)];

    /// <summary>Gives a device a place. The set owns it from now on, also when this fails.</summary>
    /// <param name="segment">PCI segment; 0 on machines without PCI.</param>
    /// <param name="slot">PCI slot; null for the lowest free one.</param>
    /// <exception cref="MachineBuildException">There is no place.</exception>
    public void Add(VirtioDevice device, int segment = 0, int? slot = null)
    {
        if (chipset.Pci is { } host)
        {
            AddPci(host, device, segment, slot);
        }
        else
        {
            AddMmio(device);
        }
    }

    /// <summary>From now on <paramref name="onActivity"/> is told, by device id, when drivers take devices and let go of them.</summary>
    public void Observe(Action<string, bool> onActivity)
    {
        foreach (VirtioDevice device in Devices)
        {
            device.ActivityChanged = active => onActivity(device.Id, active);
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

    /// <summary>Devices and their transports, in the order in which they were made.</summary>
    public IEnumerable<DeviceNode> Describe() => _slots.SelectMany(s => s.Describe());

    /// <summary>The state of every device; nothing changes. Paused.</summary>
    public VirtioSlotState[] Save() => [.. _slots.Select(s => s.Save())];

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
            place = slot ?? host.GetSegment(segment).FreeSlot()
                ?? throw new MachineBuildException($"{device.Id}: all slots of PCI segment {segment} are taken");
            IInterruptLine pin = chipset.CreateIntx(place, out uint gsi);
            var options = new PciTransportOptions { InterruptLine = pin, InterruptLineNumber = (byte)gsi };
            function = new VirtioPciFunction(device, memory, msi, doorbells, options, logger);
        }
        catch
        {
            device.Dispose();
            throw;
        }

        _slots.Add(new VirtioSlot(function));
        try
        {
            host.Attach(function, segment, place);
        }
        catch (PciTopologyException e)
        {
            throw new MachineBuildException(e.Message, e);
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
