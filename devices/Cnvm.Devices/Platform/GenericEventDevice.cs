using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Generic event device (ACPI 6.5 §5.6.9): one byte of pending events that the AML reads, which clears it, and an interrupt that
/// is asserted while there are any. Any thread.
/// </summary>
public sealed class GenericEventDevice : IIoDevice
{
    public const ulong Size = 1;

    private const string Name = "ged";
    private const GedEvents All = GedEvents.CpuChanged | GedEvents.MemoryChanged | GedEvents.PciChanged | GedEvents.PowerButton
        | GedEvents.GenerationChanged | GedEvents.ClockChanged;

    private readonly Lock _lock = new();
    private readonly IInterruptLine _line;
    private GedEvents _pending;

    public GenericEventDevice(IInterruptLine line)
    {
        ArgumentNullException.ThrowIfNull(line);
        _line = line;
    }

    /// <summary>Makes events pending and interrupts the guest.</summary>
    public void Notify(GedEvents events)
    {
        lock (_lock)
        {
            _pending |= events & All;
            if (_pending != GedEvents.None)
            {
                // A new edge each time: a guest that wired the interrupt as an edge may have missed the last one.
                _line.SetLevel(false);
                _line.SetLevel(true);
            }
        }
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        lock (_lock)
        {
            data[0] = (byte)_pending;
            _pending = GedEvents.None;
            _line.SetLevel(false);
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => IoResult.Ok;

    public void Reset()
    {
        lock (_lock)
        {
            _pending = GedEvents.None;
            _line.SetLevel(false);
        }
    }

    public GenericEventDeviceState Save()
    {
        lock (_lock)
        {
            return new GenericEventDeviceState(_pending);
        }
    }

    /// <summary>Takes a saved state and drives the line as it says.</summary>
    /// <exception cref="DeviceStateException">An event that does not exist is pending.</exception>
    public void Restore(GenericEventDeviceState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if ((state.Pending & ~All) != 0)
        {
            throw new DeviceStateException(Name, nameof(state.Pending), $"0x{(byte)state.Pending:x2} has unknown events");
        }

        lock (_lock)
        {
            _pending = state.Pending;
            _line.SetLevel(_pending != GedEvents.None);
        }
    }
}
