using Cnvm.Arch;
using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Interrupts;

/// <summary>
/// I/O APIC: wired interrupts in, messages to the local APICs out (Intel 82093AA datasheet §3; EOI register of version 0x20,
/// ICH9 datasheet §13.5). The end of a level-triggered interrupt comes back through <see cref="EndOfInterrupt"/>. Any thread.
/// </summary>
public sealed class IoApic : IIoDevice
{
    public const ulong DefaultBase = 0xfec0_0000;

    /// <summary>Bytes that it answers on the memory bus.</summary>
    public const ulong Size = 0x1000;

    public const int DefaultPins = 24;

    private const int RegisterSelect = 0x00;
    private const int RegisterWindow = 0x10;
    private const int RegisterEoi = 0x40;

    private const byte IndexId = 0x00;
    private const byte IndexVersion = 0x01;
    private const byte IndexArbitration = 0x02;
    private const byte IndexRedirection = 0x10;
    private const uint Version = 0x20;

    private const ulong VectorMask = 0xff;
    private const int DeliveryShift = 8;
    private const ulong DeliveryMask = 7 << DeliveryShift;
    private const ulong DeliveryLowestPriority = 1 << DeliveryShift;
    private const ulong LogicalDestination = 1 << 11;
    private const ulong RemoteIrr = 1 << 14;
    private const ulong LevelTriggered = 1 << 15;
    private const ulong Masked = 1 << 16;
    private const int ExtendedDestinationShift = 49;
    private const int DestinationShift = 56;

    // Vector, delivery, destination mode, polarity, trigger, mask; delivery status and remote IRR are read-only.
    private const ulong WritableLow = 0x1_afff;

    // Destination, with the extended bits that a guest uses when it is told of them.
    private const ulong WritableHigh = 0xfffe_0000ul << 32;

    private const uint MsiLevelAssert = 1 << 14;
    private const uint MsiLevelTriggered = 1 << 15;

    private readonly Lock _lock = new();
    private readonly string _name;
    private readonly IMsiController _controller;
    private readonly ulong[] _redirection;
    private readonly MsiMessage?[] _routes;
    private readonly Pin[] _pins;
    private readonly byte _initialId;
    private ulong _levels;
    private byte _id;
    private byte _select;

    /// <param name="name">Identifier in saved state and errors.</param>
    /// <param name="pins">1 to 64; routes are numbered from <paramref name="firstPin"/>.</param>
    /// <param name="id">What the ID register says after reset, 0 to 15.</param>
    public IoApic(string name, IMsiController controller, int pins = DefaultPins, byte id = 0, int firstPin = 0)
    {
        ArgumentNullException.ThrowIfNull(controller);
        ArgumentOutOfRangeException.ThrowIfLessThan(pins, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pins, 64);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(id, 15);
        ArgumentOutOfRangeException.ThrowIfNegative(firstPin);
        _name = name;
        _controller = controller;
        _initialId = id;
        FirstPin = firstPin;
        _redirection = new ulong[pins];
        _routes = new MsiMessage?[pins];
        _pins = new Pin[pins];
        for (int i = 0; i < pins; i++)
        {
            _pins[i] = new Pin(this, i);
            _redirection[i] = Masked;
        }

        _id = id;
    }

    public int PinCount => _pins.Length;

    /// <summary>Global system interrupt number of pin 0.</summary>
    public int FirstPin { get; }

    /// <summary>The input of a pin, 0 to <see cref="PinCount"/> - 1.</summary>
    public IInterruptLine GetLine(int pin) => _pins[pin];

    /// <summary>A local APIC ended a level-triggered interrupt: pins with its vector may send again, and do if still asserted.</summary>
    public void EndOfInterrupt(byte vector)
    {
        lock (_lock)
        {
            for (int pin = 0; pin < _redirection.Length; pin++)
            {
                ulong entry = _redirection[pin];
                if ((entry & (LevelTriggered | VectorMask)) == (LevelTriggered | vector))
                {
                    _redirection[pin] = entry & ~RemoteIrr;
                    SendIfLevelAsserted(pin);
                }
            }
        }
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length > 4)
        {
            return IoResult.InvalidSize;
        }

        switch (offset)
        {
            case RegisterSelect:
                IoData.Set(data, _select);
                return IoResult.Ok;
            case RegisterWindow when data.Length == 4:
                lock (_lock)
                {
                    IoData.Set(data, ReadIndexed());
                }

                return IoResult.Ok;
            case RegisterWindow:
                return IoResult.InvalidSize;
            case RegisterEoi:
                data.Clear();
                return IoResult.Ok;
            default:
                return IoResult.InvalidRegister;
        }
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length > 4)
        {
            return IoResult.InvalidSize;
        }

        switch (offset)
        {
            case RegisterSelect:
                lock (_lock)
                {
                    _select = data[0];
                }

                return IoResult.Ok;
            case RegisterWindow when data.Length == 4:
                lock (_lock)
                {
                    WriteIndexed((uint)IoData.Get(data));
                }

                return IoResult.Ok;
            case RegisterWindow:
                return IoResult.InvalidSize;
            case RegisterEoi:
                EndOfInterrupt(data[0]);
                return IoResult.Ok;
            default:
                return IoResult.InvalidRegister;
        }
    }

    /// <summary>Power-on state: every pin masked. The levels stay, for they belong to the devices.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _id = _initialId;
            _select = 0;
            for (int pin = 0; pin < _redirection.Length; pin++)
            {
                _redirection[pin] = Masked;
                SetRoute(pin, null);
            }
        }
    }

    public IoApicState Save()
    {
        lock (_lock)
        {
            return new IoApicState { Id = _id, Select = _select, Redirection = [.. _redirection], Levels = _levels };
        }
    }

    /// <summary>
    /// Takes a saved state and tells the local APICs' side of the routes. Nothing is sent: what was sent is in their state.
    /// </summary>
    /// <exception cref="DeviceStateException">Another number of pins, or an ID that does not exist.</exception>
    public void Restore(IoApicState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Redirection is null || state.Redirection.Length != _redirection.Length)
        {
            throw new DeviceStateException(
                _name, nameof(state.Redirection), $"has {state.Redirection?.Length ?? 0} pins, the device {_redirection.Length}");
        }

        if (state.Id > 15)
        {
            throw new DeviceStateException(_name, nameof(state.Id), $"{state.Id} is not in 0 to 15");
        }

        if (_redirection.Length < 64 && state.Levels >> _redirection.Length != 0)
        {
            throw new DeviceStateException(_name, nameof(state.Levels), "asserts pins that do not exist");
        }

        lock (_lock)
        {
            _id = state.Id;
            _select = state.Select;
            _levels = state.Levels;
            for (int pin = 0; pin < _redirection.Length; pin++)
            {
                _redirection[pin] = state.Redirection[pin] & (WritableLow | WritableHigh | RemoteIrr);
                bool isInService = (_redirection[pin] & RemoteIrr) != 0;
                if (isInService || (_redirection[pin] & Masked) == 0)
                {
                    SetRoute(pin, ToMessage(_redirection[pin]));
                }
            }
        }
    }

    private static MsiMessage ToMessage(ulong entry)
    {
        ulong address = MsiAddress.Base
            | ((entry >> DestinationShift) << MsiAddress.DestinationShift)
            | MsiAddress.HighDestination(entry >> ExtendedDestinationShift)
            | ((entry & LogicalDestination) != 0 ? MsiAddress.DestinationModeLogical : 0)
            | ((entry & DeliveryMask) == DeliveryLowestPriority ? MsiAddress.RedirectionHint : 0);
        uint data = (uint)(entry & (VectorMask | DeliveryMask));
        if ((entry & LevelTriggered) != 0)
        {
            data |= MsiLevelTriggered | MsiLevelAssert;
        }

        return new MsiMessage(address, data);
    }

    private void SetLevel(int pin, bool asserted)
    {
        lock (_lock)
        {
            ulong bit = 1ul << pin;
            bool was = (_levels & bit) != 0;
            _levels = asserted ? _levels | bit : _levels & ~bit;
            ulong entry = _redirection[pin];
            if ((entry & LevelTriggered) != 0)
            {
                SendIfLevelAsserted(pin);
            }
            else if (asserted && !was && (entry & Masked) == 0)
            {
                // An edge at a masked pin is not held (82093AA §3.2.4, interrupt mask).
                _controller.Signal(ToMessage(entry));
            }
        }
    }

    private void SendIfLevelAsserted(int pin)
    {
        ulong entry = _redirection[pin];
        if ((entry & (LevelTriggered | Masked | RemoteIrr)) != LevelTriggered || (_levels & (1ul << pin)) == 0)
        {
            return;
        }

        // Only fixed and lowest priority delivery ends with an EOI (82093AA §3.2.4, remote IRR).
        if ((entry & DeliveryMask) <= DeliveryLowestPriority)
        {
            _redirection[pin] = entry | RemoteIrr;
        }

        _controller.Signal(ToMessage(entry));
    }

    private uint ReadIndexed()
    {
        switch (_select)
        {
            case IndexId:
            case IndexArbitration:
                return (uint)_id << 24;
            case IndexVersion:
                return ((uint)(_redirection.Length - 1) << 16) | Version;
            default:
                int pin = (_select - IndexRedirection) >> 1;
                if (_select < IndexRedirection || pin >= _redirection.Length)
                {
                    return 0;
                }

                return (_select & 1) == 0 ? (uint)_redirection[pin] : (uint)(_redirection[pin] >> 32);
        }
    }

    private void WriteIndexed(uint value)
    {
        if (_select == IndexId)
        {
            _id = (byte)((value >> 24) & 0xf);
            return;
        }

        int pin = (_select - IndexRedirection) >> 1;
        if (_select < IndexRedirection || pin >= _redirection.Length)
        {
            return;
        }

        ulong entry = _redirection[pin];
        entry = (_select & 1) == 0
            ? (entry & ~WritableLow) | (value & WritableLow)
            : (entry & ~WritableHigh) | (((ulong)value << 32) & WritableHigh);

        // An edge-triggered pin has no remote IRR; software switches to edge and back to clear a stuck one.
        if ((entry & LevelTriggered) == 0)
        {
            entry &= ~RemoteIrr;
        }

        _redirection[pin] = entry;

        // A masked pin keeps its route: an interrupt that it sent before may still be in service, and its end has to be
        // reported. It also saves the hypervisor a new route for every mask and unmask.
        if ((entry & Masked) == 0)
        {
            SetRoute(pin, ToMessage(entry));
        }

        SendIfLevelAsserted(pin);
    }

    private void SetRoute(int pin, MsiMessage? message)
    {
        if (_routes[pin] != message)
        {
            _routes[pin] = message;
            _controller.SetIoApicRoute(FirstPin + pin, message);
        }
    }

    private sealed class Pin(IoApic owner, int number) : IInterruptLine
    {
        public void SetLevel(bool asserted) => owner.SetLevel(number, asserted);
    }
}
