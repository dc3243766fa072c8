using Cnvm.Devices;
using Cnvm.Devices.Pci;
using Cnvm.Virtio;
using Cnvm.Virtio.Transport;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Platform;

/// <summary>A virtio device with its transport, whichever kind the machine has.</summary>
internal sealed class VirtioSlot : IDisposable
{
    private readonly VirtioPciFunction? _pci;
    private readonly VirtioMmioTransport? _mmio;

    private readonly uint _mmioIndex;
    private readonly ulong _mmioBase;

    public VirtioSlot(VirtioPciFunction pci) => _pci = pci;

    /// <param name="index">Number of the transport.</param>
    /// <param name="address">Guest physical address of its registers.</param>
    public VirtioSlot(VirtioMmioTransport mmio, int index, ulong address)
    {
        _mmioBase = address;
        _mmio = mmio;
        _mmioIndex = (uint)index;
    }

    public VirtioDevice Device => _pci?.Device ?? _mmio!.Device;

    /// <summary>The PCI function; null behind another transport.</summary>
    public VirtioPciFunction? Pci => _pci;

    /// <summary>Stops the queues; requests in flight are finished first. No vCPU runs.</summary>
    public void Pause()
    {
        _pci?.Pause();
        _mmio?.Pause();
    }

    public void Resume()
    {
        _pci?.Resume();
        _mmio?.Resume();
    }

    /// <summary>Waits until the memory is here that <see cref="Resume"/> looks at.</summary>
    public void AwaitRings()
    {
        _pci?.AwaitRings();
        _mmio?.AwaitRings();
    }

    /// <summary>The device, and the transport that it is behind.</summary>
    public IEnumerable<DeviceNode> Describe()
    {
        string transport = $"{(_pci is null ? "_virtio-mmio" : "_virtio-pci")}-{Device.Id}";
        DeviceRange? registers = _pci is null
            ? new DeviceRange(_mmioBase, VirtioMmioTransport.Size)
            : _pci.GetBarMapping(PciTransportSpec.Bar) is { } bar ? new DeviceRange(bar, PciTransportSpec.BarSize) : null;
        yield return new DeviceNode(
            transport, registers is null ? [] : [new DeviceResource(registers)], [Device.Id], PciBdf: _pci?.Address?.ToString());
        yield return new DeviceNode(Device.Id, [], [], Parent: transport);
    }

    /// <summary>The state; nothing changes. Paused.</summary>
    public VirtioSlotState Save() => new()
    {
        Id = Device.Id,
        DeviceType = (ushort)Device.DeviceType,
        Place = Place,
        Pci = _pci?.Save(),
        Mmio = _mmio?.Save(),
    };

    /// <summary>Takes a state over and stays paused.</summary>
    /// <exception cref="DeviceStateException">It is of another device, or of one in another place.</exception>
    public void Restore(VirtioSlotState state)
    {
        Require(state.DeviceType == (ushort)Device.DeviceType, nameof(state.DeviceType), $"{state.DeviceType} is not {Device.DeviceType}");
        Require(state.Place == Place, nameof(state.Place), $"the device was at {state.Place} and is at {Place}");
        Require(_pci is null == state.Pci is null, nameof(state.Pci), "the transport is of another kind");
        _pci?.Restore(state.Pci!);
        _mmio?.Restore(state.Mmio!);
    }

    /// <summary>PCI: segment times 32 plus slot. MMIO: index of the transport.</summary>
    private uint Place => _pci?.Address is { } address ? (uint)((address.Segment * PciSegment.SlotCount) + address.Slot) : _mmioIndex;

    private void Require(bool condition, string field, string reason)
    {
        if (!condition)
        {
            throw new DeviceStateException(Device.Id, field, reason);
        }
    }

    public void Dispose()
    {
        _pci?.Dispose();
        _mmio?.Dispose();
    }
}
