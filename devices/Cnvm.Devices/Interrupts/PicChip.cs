namespace Cnvm.Devices.Interrupts;

/// <summary>One 8259A (Intel 8259A datasheet, order 231468). Locked by its <see cref="PicPair"/>.</summary>
internal sealed class PicChip(byte levelWritable)
{
    private const int Cascade = 2;

    // ICW1, OCW2 and OCW3 share the even port.
    private const byte Icw1 = 1 << 4;
    private const byte Icw1NeedsIcw4 = 1 << 0;
    private const byte Icw1Single = 1 << 1;
    private const byte Icw1Level = 1 << 3;
    private const byte Icw4AutoEoi = 1 << 1;
    private const byte Icw4SpecialFullyNested = 1 << 4;
    private const byte Ocw3 = 1 << 3;
    private const byte Ocw3ReadRegister = 1 << 1;
    private const byte Ocw3Poll = 1 << 2;
    private const byte Ocw3SpecialMaskCommand = 1 << 6;

    private byte _request;
    private byte _mask;
    private byte _service;
    private byte _levels;
    private byte _levelTriggered;
    private byte _vectorBase;
    private byte _top;
    private byte _nextInitWord;
    private bool _expectsIcw4;
    private bool _isSingle;
    private bool _allLevel;
    private bool _autoEoi;
    private bool _rotateOnAutoEoi;
    private bool _specialFullyNested;
    private bool _specialMask;
    private bool _readsService;
    private bool _isPolled;

    public byte LevelControl
    {
        get => _levelTriggered;
        set
        {
            _levelTriggered = (byte)(value & levelWritable);
            _request = (byte)((_request & ~LevelInputs) | (_levels & LevelInputs));
        }
    }

    public byte VectorBase => _vectorBase;

    private byte LevelInputs => _allLevel ? (byte)0xff : _levelTriggered;

    public void Reset()
    {
        byte levels = _levels;
        Load(new PicChipState());
        _levels = levels;
    }

    public void SetInput(int input, bool asserted)
    {
        byte bit = (byte)(1 << input);
        bool was = (_levels & bit) != 0;
        _levels = (byte)(asserted ? _levels | bit : _levels & ~bit);
        if ((LevelInputs & bit) != 0)
        {
            _request = (byte)(asserted ? _request | bit : _request & ~bit);
        }
        else if (asserted && !was)
        {
            _request |= bit;
        }
    }

    /// <summary>The slave's output as the master's input 2: it follows the slave, whichever way the input is triggered.</summary>
    public void SetCascade(bool asserted)
    {
        byte bit = 1 << Cascade;
        _levels = (byte)(asserted ? _levels | bit : _levels & ~bit);
        _request = (byte)(asserted ? _request | bit : _request & ~bit);
    }

    /// <summary>The input to be served now, -1 if none outranks what is in service ("Fully Nested Mode").</summary>
    public int Pending()
    {
        int request = RankOf((byte)(_request & ~_mask));
        if (request == 8)
        {
            return -1;
        }

        byte service = _service;
        if (_specialMask)
        {
            // Special mask mode: a masked input in service holds up no other.
            service = (byte)(service & ~_mask);
        }

        if (_specialFullyNested)
        {
            // A slave in service may ask again for a higher input of its own.
            service = (byte)(service & ~(1 << Cascade));
        }

        return request < RankOf(service) ? (request + _top) & 7 : -1;
    }

    /// <summary>What the interrupt acknowledge cycle does for <paramref name="input"/>.</summary>
    public void Acknowledge(int input)
    {
        byte bit = (byte)(1 << input);
        if (_autoEoi)
        {
            if (_rotateOnAutoEoi)
            {
                _top = (byte)((input + 1) & 7);
            }
        }
        else
        {
            _service |= bit;
        }

        if ((LevelInputs & bit) == 0)
        {
            _request = (byte)(_request & ~bit);
        }
    }

    public byte Read(bool isOddPort)
    {
        if (_isPolled)
        {
            // Poll command: the read stands for the acknowledge cycle.
            _isPolled = false;
            int input = Pending();
            if (input < 0)
            {
                return 0;
            }

            Acknowledge(input);
            return (byte)(0x80 | input);
        }

        if (isOddPort)
        {
            return _mask;
        }

        return _readsService ? _service : _request;
    }

    public void WriteEven(byte value)
    {
        if ((value & Icw1) != 0)
        {
            Initialise(value);
        }
        else if ((value & Ocw3) != 0)
        {
            WriteOcw3(value);
        }
        else
        {
            WriteOcw2(value);
        }
    }

    public void WriteOdd(byte value)
    {
        switch (_nextInitWord)
        {
            case 2:
                _vectorBase = (byte)(value & 0xf8);
                _nextInitWord = (byte)(_isSingle ? (_expectsIcw4 ? 4 : 0) : 3);
                break;
            case 3:
                // ICW3 says how the chips are cascaded, which the wiring of the pair fixes.
                _nextInitWord = (byte)(_expectsIcw4 ? 4 : 0);
                break;
            case 4:
                _autoEoi = (value & Icw4AutoEoi) != 0;
                _specialFullyNested = (value & Icw4SpecialFullyNested) != 0;
                _nextInitWord = 0;
                break;
            default:
                _mask = value;
                break;
        }
    }

    public PicChipState Save() => new()
    {
        Request = _request,
        Mask = _mask,
        Service = _service,
        Levels = _levels,
        LevelTriggered = _levelTriggered,
        VectorBase = _vectorBase,
        TopPriority = _top,
        NextInitWord = _nextInitWord,
        ExpectsIcw4 = _expectsIcw4,
        IsSingle = _isSingle,
        AllLevelTriggered = _allLevel,
        AutoEoi = _autoEoi,
        RotateOnAutoEoi = _rotateOnAutoEoi,
        SpecialFullyNested = _specialFullyNested,
        SpecialMask = _specialMask,
        ReadsService = _readsService,
        IsPolled = _isPolled,
    };

    public void Validate(PicChipState? state, string name)
    {
        if (state is null)
        {
            throw new DeviceStateException(name, "chip", "one of the two is missing");
        }

        if (state.TopPriority > 7)
        {
            throw new DeviceStateException(name, nameof(state.TopPriority), $"{state.TopPriority} is not an input");
        }

        if (state.NextInitWord is not (0 or 2 or 3 or 4))
        {
            throw new DeviceStateException(name, nameof(state.NextInitWord), $"there is no ICW{state.NextInitWord} to wait for");
        }

        if ((state.VectorBase & 7) != 0)
        {
            throw new DeviceStateException(name, nameof(state.VectorBase), $"0x{state.VectorBase:x2} is not a multiple of 8");
        }

        if ((state.LevelTriggered & ~levelWritable) != 0)
        {
            throw new DeviceStateException(name, nameof(state.LevelTriggered), "makes an input level-triggered that cannot be");
        }
    }

    public void Load(PicChipState state)
    {
        _request = state.Request;
        _mask = state.Mask;
        _service = state.Service;
        _levels = state.Levels;
        _levelTriggered = state.LevelTriggered;
        _vectorBase = state.VectorBase;
        _top = state.TopPriority;
        _nextInitWord = state.NextInitWord;
        _expectsIcw4 = state.ExpectsIcw4;
        _isSingle = state.IsSingle;
        _allLevel = state.AllLevelTriggered;
        _autoEoi = state.AutoEoi;
        _rotateOnAutoEoi = state.RotateOnAutoEoi;
        _specialFullyNested = state.SpecialFullyNested;
        _specialMask = state.SpecialMask;
        _readsService = state.ReadsService;
        _isPolled = state.IsPolled;
    }

    /// <summary>ICW1: everything but the inputs and ICW2 starts over, and an edge has to come anew.</summary>
    private void Initialise(byte value)
    {
        _allLevel = (value & Icw1Level) != 0;
        _request = (byte)(_levels & LevelInputs);
        _mask = 0;
        _service = 0;
        _top = 0;
        _autoEoi = false;
        _rotateOnAutoEoi = false;
        _specialFullyNested = false;
        _specialMask = false;
        _readsService = false;
        _isPolled = false;
        _isSingle = (value & Icw1Single) != 0;
        _expectsIcw4 = (value & Icw1NeedsIcw4) != 0;
        _nextInitWord = 2;
    }

    /// <summary>OCW2: end of interrupt and rotation, R SL EOI in bits 7:5.</summary>
    private void WriteOcw2(byte value)
    {
        int level = value & 7;
        switch (value >> 5)
        {
            case 0b000:
                _rotateOnAutoEoi = false;
                break;
            case 0b100:
                _rotateOnAutoEoi = true;
                break;
            case 0b001:
                EndHighest(rotate: false);
                break;
            case 0b101:
                EndHighest(rotate: true);
                break;
            case 0b011:
                _service = (byte)(_service & ~(1 << level));
                break;
            case 0b111:
                _service = (byte)(_service & ~(1 << level));
                _top = (byte)((level + 1) & 7);
                break;
            case 0b110:
                _top = (byte)((level + 1) & 7);
                break;
            default:
                break;
        }
    }

    private void WriteOcw3(byte value)
    {
        if ((value & Ocw3Poll) != 0)
        {
            _isPolled = true;
        }

        if ((value & Ocw3ReadRegister) != 0)
        {
            _readsService = (value & 1) != 0;
        }

        if ((value & Ocw3SpecialMaskCommand) != 0)
        {
            _specialMask = (value & (1 << 5)) != 0;
        }
    }

    private void EndHighest(bool rotate)
    {
        // In special mask mode a masked input stays in service until it is ended by name.
        int rank = RankOf((byte)(_specialMask ? _service & ~_mask : _service));
        if (rank == 8)
        {
            return;
        }

        int input = (rank + _top) & 7;
        _service = (byte)(_service & ~(1 << input));
        if (rotate)
        {
            _top = (byte)((input + 1) & 7);
        }
    }

    /// <summary>0 for the highest priority that is set, 8 for none.</summary>
    private int RankOf(byte inputs)
    {
        for (int rank = 0; rank < 8; rank++)
        {
            if ((inputs & (1 << ((rank + _top) & 7))) != 0)
            {
                return rank;
            }
        }

        return 8;
    }
}
