using System.Buffers.Binary;
using System.Numerics;
using Cnvm.Arch.Acpi;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Registers by which the guest learns of memory that was added (<see cref="MemoryHotplugDevice"/>). They only tell: nothing that the guest
/// writes here changes its memory. Any thread.
/// </summary>
public sealed class MemoryHotplug : IIoDevice
{
    public const ulong Size = MemoryHotplugDevice.RegisterBytes;

    private const string Name = "memory-hotplug";
    private const int UpperHalf = 32;

    private readonly Lock _lock = new();
    private readonly GenericEventDevice _ged;
    private readonly List<AddressRange> _slots;
    private uint _inserting;
    private uint _selected;

    /// <param name="present">What is in the slots, from the first on; the guest finds it when it boots.</param>
    /// <param name="ged">Interrupts the guest.</param>
    public MemoryHotplug(IReadOnlyList<AddressRange> present, GenericEventDevice ged)
    {
        ArgumentNullException.ThrowIfNull(present);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(present.Count, MemoryHotplugDevice.Slots);
        _slots = [.. present];
        _ged = ged;
    }

    /// <summary>Puts memory, which is mapped, into the next slot and tells the guest.</summary>
    /// <exception cref="InvalidOperationException">All slots have memory.</exception>
    public void Insert(AddressRange memory)
    {
        lock (_lock)
        {
            if (_slots.Count == MemoryHotplugDevice.Slots)
            {
                throw new InvalidOperationException($"all {MemoryHotplugDevice.Slots} slots have memory");
            }

            _inserting |= 1u << _slots.Count;
            _slots.Add(memory);
        }

        _ged.Notify(GedEvents.MemoryChanged);
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        lock (_lock)
        {
            AddressRange slot = _selected < (uint)_slots.Count ? _slots[(int)_selected] : default;
            uint value = (int)offset switch
            {
                MemoryHotplugDevice.BaseRegister => (uint)slot.Start,
                MemoryHotplugDevice.BaseRegister + sizeof(uint) => (uint)(slot.Start >> UpperHalf),
                MemoryHotplugDevice.LengthRegister => (uint)slot.Length,
                MemoryHotplugDevice.LengthRegister + sizeof(uint) => (uint)(slot.Length >> UpperHalf),
                MemoryHotplugDevice.FlagsRegister => Flags(slot),
                _ => 0,
            };
            if (data.Length == 1)
            {
                data[0] = (byte)value;
            }
            else
            {
                BinaryPrimitives.WriteUInt32LittleEndian(data, value);
            }
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        uint value = data.Length == 1 ? data[0] : BinaryPrimitives.ReadUInt32LittleEndian(data);
        lock (_lock)
        {
            switch ((int)offset)
            {
                case MemoryHotplugDevice.SelectRegister:
                    // One that does not exist reads as empty.
                    _selected = value;
                    break;
                case MemoryHotplugDevice.FlagsRegister when (value & MemoryHotplugDevice.InsertingFlag) != 0 && _selected < MemoryHotplugDevice.Slots:
                    _inserting &= ~(1u << (int)_selected);
                    break;
            }
        }

        return IoResult.Ok;
    }

    /// <summary>The state; nothing changes.</summary>
    public MemoryHotplugState Save()
    {
        lock (_lock)
        {
            return new MemoryHotplugState
            {
                Starts = Starts(),
                Lengths = Lengths(),
                Inserting = _inserting,
                Selected = _selected,
            };
        }
    }

    /// <summary>Takes a saved state.</summary>
    /// <exception cref="DeviceStateException">It is of a machine with other memory, or damaged.</exception>
    public void Restore(MemoryHotplugState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        lock (_lock)
        {
            Require(
                state.Starts is not null && state.Starts.AsSpan().SequenceEqual(Starts()),
                nameof(state.Starts),
                "the slots have other memory than this machine's");
            Require(
                state.Lengths is not null && state.Lengths.AsSpan().SequenceEqual(Lengths()),
                nameof(state.Lengths),
                "the slots have other memory than this machine's");
            Require(
                state.Inserting == 0 || BitOperations.Log2(state.Inserting) < _slots.Count,
                nameof(state.Inserting),
                $"0x{state.Inserting:x} for {_slots.Count} slots with memory");
            _inserting = state.Inserting;
            _selected = state.Selected;
        }
    }

    private static void Require(bool condition, string field, string problem)
    {
        if (!condition)
        {
            throw new DeviceStateException(Name, field, problem);
        }
    }

    private uint Flags(AddressRange slot) =>
        (slot.Length != 0 ? MemoryHotplugDevice.EnabledFlag : 0u)
        | (_selected < MemoryHotplugDevice.Slots && (_inserting & (1u << (int)_selected)) != 0 ? MemoryHotplugDevice.InsertingFlag : 0u);

    private static IoResult Check(ulong offset, int length) =>
        length == 1 && offset == MemoryHotplugDevice.FlagsRegister ? IoResult.Ok
        : length != sizeof(uint) ? IoResult.InvalidSize
        : offset % sizeof(uint) != 0 ? IoResult.Unaligned
        : IoResult.Ok;

    private ulong[] Starts() => [.. _slots.ConvertAll(static s => s.Start)];

    private ulong[] Lengths() => [.. _slots.ConvertAll(static s => s.Length)];
}
