using System.Buffers.Binary;
using Cnvm.Arch.Acpi;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Registers by which the guest learns which PCI slots have got a function or are to lose theirs, and gives slots up
/// (<see cref="PciHotplugDevice"/>). Any thread.
/// </summary>
public sealed class PciHotplug : IIoDevice
{
    public const ulong Size = PciHotplugDevice.RegisterBytes;

    private const string Name = "pci-hotplug";

    private readonly Lock _lock = new();
    private readonly GenericEventDevice _ged;
    private readonly Action _onEject;
    private readonly uint[] _up;
    private readonly uint[] _down;
    private readonly uint[] _ejected;
    private uint _selected;
    private bool _isEjectKnown;

    /// <param name="segments">How many PCI segments there are: their numbers are 0 and on.</param>
    /// <param name="ged">Interrupts the guest.</param>
    /// <param name="onEject">
    /// The guest has given up slots, which <see cref="TakeEjected"/> returns. Called on a vCPU's thread; not again before they have been
    /// taken, however often the guest writes.
    /// </param>
    public PciHotplug(int segments, GenericEventDevice ged, Action onEject)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(segments, 1);
        _ged = ged;
        _onEject = onEject;
        _up = new uint[segments];
        _down = new uint[segments];
        _ejected = new uint[segments];
    }

    /// <summary>A slot has a function now.</summary>
    public void NotifyAdded(PciAddress slot) => Notify(slot, _up, _down);

    /// <summary>The guest is asked to give a slot up. It may be asked again.</summary>
    public void RequestEject(PciAddress slot) => Notify(slot, _down, _up);

    /// <summary>The slots that the guest has given up since the last call.</summary>
    public IReadOnlyList<PciAddress> TakeEjected()
    {
        lock (_lock)
        {
            List<PciAddress> taken = [];
            for (int segment = 0; segment < _ejected.Length; segment++)
            {
                for (int slot = 0; slot < PciSegment.SlotCount; slot++)
                {
                    if ((_ejected[segment] & (1u << slot)) != 0)
                    {
                        taken.Add(new PciAddress(segment, slot));
                    }
                }

                _ejected[segment] = 0;
            }

            _isEjectKnown = false;
            return taken;
        }
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        lock (_lock)
        {
            uint value = 0;
            switch ((int)offset)
            {
                case PciHotplugDevice.UpRegister:
                    value = _up[_selected];
                    _up[_selected] = 0;
                    break;
                case PciHotplugDevice.DownRegister:
                    value = _down[_selected];
                    _down[_selected] = 0;
                    break;
                case PciHotplugDevice.SegmentRegister:
                    value = _selected;
                    break;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        uint value = BinaryPrimitives.ReadUInt32LittleEndian(data);
        bool isNews = false;
        lock (_lock)
        {
            switch ((int)offset)
            {
                case PciHotplugDevice.EjectRegister:
                    _ejected[_selected] |= value;
                    isNews = value != 0 && !_isEjectKnown;
                    _isEjectKnown |= isNews;
                    break;

                // A segment that does not exist cannot be selected.
                case PciHotplugDevice.SegmentRegister when value < _up.Length:
                    _selected = value;
                    break;
            }
        }

        if (isNews)
        {
            _onEject();
        }

        return IoResult.Ok;
    }

    /// <summary>The state; nothing changes.</summary>
    public PciHotplugState Save()
    {
        lock (_lock)
        {
            return new PciHotplugState { Up = List(_up), Down = List(_down), Ejected = List(_ejected), Selected = _selected };
        }
    }

    /// <summary>Takes a saved state; <c>onEject</c> is called for what the guest had given up.</summary>
    /// <exception cref="DeviceStateException">It is of a machine with other segments, or damaged.</exception>
    public void Restore(PciHotplugState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        Validate(state.Up, nameof(state.Up));
        Validate(state.Down, nameof(state.Down));
        Validate(state.Ejected, nameof(state.Ejected));
        if (state.Selected >= _up.Length)
        {
            throw new DeviceStateException(Name, nameof(state.Selected), $"{state.Selected}; the machine has {_up.Length} segments");
        }

        bool isNews;
        lock (_lock)
        {
            for (int i = 0; i < _up.Length; i++)
            {
                _up[i] = (uint)state.Up[i];
                _down[i] = (uint)state.Down[i];
                _ejected[i] = (uint)state.Ejected[i];
            }

            _selected = state.Selected;
            isNews = _isEjectKnown = _ejected.Any(e => e != 0);
        }

        if (isNews)
        {
            _onEject();
        }
    }

    private static ulong[] List(uint[] registers) => Array.ConvertAll(registers, r => (ulong)r);

    private static IoResult Check(ulong offset, int length) =>
        length != sizeof(uint) ? IoResult.InvalidSize : offset % sizeof(uint) != 0 ? IoResult.Unaligned : IoResult.Ok;

    private void Notify(PciAddress slot, uint[] set, uint[] clear)
    {
        lock (_lock)
        {
            set[slot.Segment] |= 1u << slot.Slot;
            clear[slot.Segment] &= ~(1u << slot.Slot);
        }

        _ged.Notify(GedEvents.PciChanged);
    }

    private void Validate(ulong[] registers, string field)
    {
        if (registers is null || registers.Length != _up.Length || registers.Any(r => r > uint.MaxValue))
        {
            throw new DeviceStateException(Name, field, $"does not fit {_up.Length} segments of {PciSegment.SlotCount} slots");
        }
    }
}
