using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Serial;

/// <summary>
/// 16550A serial port (National Semiconductor PC16550D datasheet §8). The line has no speed: a byte is sent when the backend
/// takes it and received when the FIFO has room. Any thread.
/// </summary>
public sealed partial class Serial16550 : IIoDevice
{
    /// <summary>Ports of the four serial ports of a PC; COM1 interrupts on line 4, COM2 on 3.</summary>
    public const ushort Com1 = 0x3f8;

    public const ushort Com2 = 0x2f8;

    /// <summary>Ports that it answers.</summary>
    public const ulong Size = 8;

    private readonly Lock _lock = new();
    private readonly string _name;
    private readonly ISerialBackend _backend;
    private readonly IInterruptLine _line;
    private readonly ByteFifo _receive = new();
    private readonly ByteFifo _transmit = new();
    private byte _interruptEnable;
    private byte _fifoControl;
    private byte _lineControl;
    private byte _modemControl;
    private byte _lineErrors;
    private byte _modemDelta;
    private byte _scratch;
    private ushort _divisor = DefaultDivisor;
    private bool _transmitEmptyPending;
    private bool _lineLevel;

    /// <param name="name">Identifier in saved state and errors.</param>
    public Serial16550(string name, ISerialBackend backend, IInterruptLine line)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(line);
        _name = name;
        _backend = backend;
        _line = line;
    }

    private bool IsFifoEnabled => (_fifoControl & FcrEnable) != 0;

    private int FifoDepth => IsFifoEnabled ? ByteFifo.Capacity : 1;

    private bool IsLoopback => (_modemControl & McrLoopback) != 0;

    private bool IsDivisorAccess => (_lineControl & LcrDivisorAccess) != 0;

    /// <summary>The backend has bytes that <see cref="ISerialBackend.Read"/> will give.</summary>
    public void InputReady()
    {
        lock (_lock)
        {
            Refill();
            UpdateLine();
        }
    }

    /// <summary>The backend has room again after <see cref="ISerialBackend.TryWrite"/> returned false.</summary>
    public void OutputReady()
    {
        lock (_lock)
        {
            Drain();
            UpdateLine();
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
            data[0] = ReadRegister((int)offset & 7);
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        lock (_lock)
        {
            WriteRegister((int)offset & 7, data[0]);
        }

        return IoResult.Ok;
    }

    /// <summary>State after master reset (PC16550D §8.1 table II). Bytes in the FIFOs are lost, those in the backend are not.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _interruptEnable = 0;
            _fifoControl = 0;
            _lineControl = 0;
            _modemControl = 0;
            _lineErrors = 0;
            _modemDelta = 0;
            _scratch = 0;
            _divisor = DefaultDivisor;
            _transmitEmptyPending = false;
            _receive.Clear();
            _transmit.Clear();
            UpdateLine();
        }
    }

    public Serial16550State Save()
    {
        lock (_lock)
        {
            return new Serial16550State
            {
                InterruptEnable = _interruptEnable,
                FifoControl = _fifoControl,
                LineControl = _lineControl,
                ModemControl = _modemControl,
                LineErrors = _lineErrors,
                ModemDelta = _modemDelta,
                Scratch = _scratch,
                Divisor = _divisor,
                TransmitEmptyPending = _transmitEmptyPending,
                ReceiveFifo = _receive.ToArray(),
                TransmitFifo = _transmit.ToArray(),
            };
        }
    }

    /// <summary>
    /// Takes a saved state and drives the line as it says. Call <see cref="OutputReady"/> and <see cref="InputReady"/> when the
    /// machine runs.
    /// </summary>
    /// <exception cref="DeviceStateException">A FIFO has more bytes than it can hold, or a register bits that do not exist.</exception>
    public void Restore(Serial16550State state)
    {
        ArgumentNullException.ThrowIfNull(state);
        Require(state.ReceiveFifo is { Length: <= ByteFifo.Capacity }, nameof(state.ReceiveFifo), "is not 0 to 16 bytes");
        Require(state.TransmitFifo is { Length: <= ByteFifo.Capacity }, nameof(state.TransmitFifo), "is not 0 to 16 bytes");
        Require((state.InterruptEnable & ~IerMask) == 0, nameof(state.InterruptEnable), "has reserved bits");
        Require((state.FifoControl & ~FcrKept) == 0, nameof(state.FifoControl), "has bits that the register does not keep");
        Require((state.ModemControl & ~McrMask) == 0, nameof(state.ModemControl), "has reserved bits");
        Require((state.LineErrors & ~LsrErrors) == 0, nameof(state.LineErrors), "has bits that are no errors");
        Require((state.ModemDelta & ~MsrDelta) == 0, nameof(state.ModemDelta), "has bits that are no deltas");
        lock (_lock)
        {
            _interruptEnable = state.InterruptEnable;
            _fifoControl = state.FifoControl;
            _lineControl = state.LineControl;
            _modemControl = state.ModemControl;
            _lineErrors = state.LineErrors;
            _modemDelta = state.ModemDelta;
            _scratch = state.Scratch;
            _divisor = state.Divisor;
            _transmitEmptyPending = state.TransmitEmptyPending;
            _receive.Load(state.ReceiveFifo);
            _transmit.Load(state.TransmitFifo);
            _lineLevel = Identify() != IirNone;
            _line.SetLevel(_lineLevel);
        }
    }

    private void Require(bool condition, string field, string reason)
    {
        if (!condition)
        {
            throw new DeviceStateException(_name, field, reason);
        }
    }
}
