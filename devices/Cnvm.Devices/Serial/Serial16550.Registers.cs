namespace Cnvm.Devices.Serial;

/// <content>What the registers do; all under the port's lock.</content>
public sealed partial class Serial16550
{
    private byte ReadRegister(int offset)
    {
        switch (offset)
        {
            case Data when IsDivisorAccess:
                return (byte)_divisor;
            case Data:
                return ReceiveByte();
            case InterruptEnable:
                return IsDivisorAccess ? (byte)(_divisor >> 8) : _interruptEnable;
            case InterruptIdentOrFifo:
                byte ident = Identify();
                if (ident == IirTransmitEmpty)
                {
                    // §8.5 table IV: reading the identification answers this interrupt.
                    _transmitEmptyPending = false;
                    UpdateLine();
                }

                return (byte)(ident | (IsFifoEnabled ? IirFifoEnabled : 0));
            case LineControl:
                return _lineControl;
            case ModemControl:
                return _modemControl;
            case LineStatus:
                byte status = ReadLineStatus();
                _lineErrors = 0;
                UpdateLine();
                return status;
            case ModemStatus:
                byte modem = (byte)(ModemLines(_modemControl) | _modemDelta);
                _modemDelta = 0;
                UpdateLine();
                return modem;
            default:
                return _scratch;
        }
    }

    private void WriteRegister(int offset, byte value)
    {
        switch (offset)
        {
            case Data when IsDivisorAccess:
                _divisor = (ushort)((_divisor & 0xff00) | value);
                break;
            case Data:
                SendByte(value);
                break;
            case InterruptEnable when IsDivisorAccess:
                _divisor = (ushort)((_divisor & 0x00ff) | (value << 8));
                break;
            case InterruptEnable:
                WriteInterruptEnable(value);
                break;
            case InterruptIdentOrFifo:
                WriteFifoControl(value);
                break;
            case LineControl:
                _lineControl = value;
                break;
            case ModemControl:
                WriteModemControl(value);
                break;
            case LineStatus:
            case ModemStatus:
                // Writable for factory tests only (§8.4, §8.7).
                break;
            default:
                _scratch = value;
                break;
        }
    }

    private byte ReceiveByte()
    {
        if (_receive.Count == 0)
        {
            return 0;
        }

        byte value = _receive.Take();
        if (_receive.Count == 0)
        {
            // The line falls before the FIFO fills again, so that an edge-triggered controller sees the new bytes.
            UpdateLine();
            Refill();
        }

        UpdateLine();
        return value;
    }

    private void SendByte(byte value)
    {
        if (IsLoopback)
        {
            // §8.6: the transmitter feeds the receiver.
            if (_receive.Count < FifoDepth)
            {
                _receive.Add(value);
            }
            else
            {
                _lineErrors |= LsrOverrun;
            }

            _transmitEmptyPending = true;
        }
        else if (_transmit.Count == 0 && _backend.TryWrite(value))
        {
            // Sent at once, so the transmitter is empty again. An interrupt that the guest has not taken yet stays as it is, rather
            // than fall and rise for each byte of a burst.
            _transmitEmptyPending = true;
        }
        else
        {
            _transmitEmptyPending = false;
            if (_transmit.Count < FifoDepth)
            {
                _transmit.Add(value);
            }
        }

        UpdateLine();
    }

    private void WriteInterruptEnable(byte value)
    {
        byte enable = (byte)(value & IerMask);
        bool enablesTransmit = (enable & ~_interruptEnable & IerTransmitEmpty) != 0;
        _interruptEnable = enable;
        if (enablesTransmit && _transmit.Count == 0)
        {
            // Enabling the interrupt while the transmitter is empty raises it: that is how drivers start to send.
            _transmitEmptyPending = true;
        }

        UpdateLine();
    }

    private void WriteFifoControl(byte value)
    {
        // §8.3: turning the FIFOs on or off empties both.
        bool toggles = ((value ^ _fifoControl) & FcrEnable) != 0;
        bool hadOutput = _transmit.Count != 0;
        _fifoControl = (value & FcrEnable) != 0 ? (byte)(value & FcrKept) : (byte)0;
        if (toggles || (value & FcrClearReceive) != 0)
        {
            _receive.Clear();
            UpdateLine();
            Refill();
        }

        if (toggles || (value & FcrClearTransmit) != 0)
        {
            _transmit.Clear();
            _transmitEmptyPending |= hadOutput;
        }

        UpdateLine();
    }

    private void WriteModemControl(byte value)
    {
        byte before = ModemLines(_modemControl);
        _modemControl = (byte)(value & McrMask);
        byte after = ModemLines(_modemControl);
        int changed = before ^ after;
        _modemDelta |= (byte)((changed & (MsrCts | MsrDsr | MsrCarrier)) >> 4);
        if ((before & MsrRing) != 0 && (after & MsrRing) == 0)
        {
            _modemDelta |= MsrTrailingRing;
        }

        Refill();
        UpdateLine();
    }

    /// <summary>The far end is always ready; in loopback the outputs come back (§8.6).</summary>
    private static byte ModemLines(byte control)
    {
        if ((control & McrLoopback) == 0)
        {
            return MsrCts | MsrDsr | MsrCarrier;
        }

        return (byte)(((control & McrRts) != 0 ? MsrCts : 0)
            | ((control & McrDtr) != 0 ? MsrDsr : 0)
            | ((control & McrOut1) != 0 ? MsrRing : 0)
            | ((control & McrOut2) != 0 ? MsrCarrier : 0));
    }

    private byte ReadLineStatus() => (byte)(_lineErrors
        | (_receive.Count != 0 ? LsrDataReady : 0)
        | (_transmit.Count == 0 ? LsrTransmitHoldingEmpty | LsrTransmitterEmpty : 0));

    /// <summary>The interrupt of highest priority (§8.5 table IV).</summary>
    private byte Identify()
    {
        if ((_interruptEnable & IerLineStatus) != 0 && _lineErrors != 0)
        {
            return IirLineStatus;
        }

        if ((_interruptEnable & IerReceive) != 0 && _receive.Count != 0)
        {
            // Fewer bytes than the trigger level are announced as a time-out at once: the line has no character time to wait for.
            return !IsFifoEnabled || _receive.Count >= TriggerLevel() ? IirReceive : IirTimeout;
        }

        if ((_interruptEnable & IerTransmitEmpty) != 0 && _transmitEmptyPending)
        {
            return IirTransmitEmpty;
        }

        if ((_interruptEnable & IerModemStatus) != 0 && _modemDelta != 0)
        {
            return IirModemStatus;
        }

        return IirNone;
    }

    private int TriggerLevel() => (_fifoControl >> FcrTriggerShift) switch
    {
        0 => 1,
        1 => 4,
        2 => 8,
        _ => 14,
    };

    private void UpdateLine()
    {
        bool level = Identify() != IirNone;
        if (level != _lineLevel)
        {
            _lineLevel = level;
            _line.SetLevel(level);
        }
    }

    /// <summary>Fills the receiver from the backend as far as it goes; in loopback the receiver is cut off from the line.</summary>
    private void Refill()
    {
        int room = FifoDepth - _receive.Count;
        if (room <= 0 || IsLoopback)
        {
            return;
        }

        Span<byte> bytes = stackalloc byte[ByteFifo.Capacity];
        int count = _backend.Read(bytes[..room]);
        foreach (byte value in bytes[..Math.Min(count, room)])
        {
            _receive.Add(value);
        }
    }

    private void Drain()
    {
        if (_transmit.Count == 0)
        {
            return;
        }

        while (_transmit.Count != 0)
        {
            if (!_backend.TryWrite(_transmit.Peek()))
            {
                return;
            }

            _transmit.Take();
        }

        _transmitEmptyPending = true;
    }
}
