namespace Cnvm.Devices.Time;

/// <summary>
/// One counter of an 8254 (Intel 8254 datasheet, order 231164). Count and output follow from the time since the count was loaded.
/// Locked by its <see cref="Pit"/>.
/// </summary>
internal sealed class PitChannel
{
    private const int MaxCount = 0x10000;
    private const int MaxBcdCount = 10000;

    private readonly bool _initialGate;
    private byte _mode;
    private byte _access = 3;
    private bool _isBcd;
    private bool _gate;
    private int _count = MaxCount;
    private bool _isLoaded;
    private ulong _loadTime;
    private long _ticksAtGateLow;
    private bool _isTriggered;
    private byte _writeLow;
    private bool _expectsHighWrite;
    private bool _expectsHighRead;
    private bool _hasLatchedCount;
    private ushort _latchedCount;
    private bool _hasLatchedStatus;
    private byte _latchedStatus;

    /// <param name="initialGate">Level of the gate input at power-on; only counter 2 of a PC has one that software drives.</param>
    public PitChannel(bool initialGate)
    {
        _initialGate = initialGate;
        _gate = initialGate;
    }

    public bool Gate => _gate;

    /// <summary>Modes 2 and 3 start over at every terminal count.</summary>
    public bool IsPeriodic => _mode is 2 or 3;

    private bool IsGateStarted => _mode is 1 or 5;

    private bool IsCounting => _isLoaded && (IsGateStarted ? _isTriggered : _gate);

    public void Reset() => Load(new PitChannelState { Access = 3, Count = MaxCount, Gate = _initialGate });

    /// <summary>A control word that is not a latch or read-back command ("Control Word Format").</summary>
    public void SetControl(byte value)
    {
        int mode = (value >> 1) & 7;

        // Modes 6 and 7 are 2 and 3: bit 2 is "don't care" there.
        _mode = (byte)(mode > 5 ? mode - 4 : mode);
        _access = (byte)((value >> 4) & 3);
        _isBcd = (value & 1) != 0;
        // A count that was loaded in binary may be none in BCD, and a saved state may hold counts only.
        _count = Math.Min(_count, _isBcd ? MaxBcdCount : MaxCount);
        _isLoaded = false;
        _isTriggered = false;
        _ticksAtGateLow = 0;
        _expectsHighWrite = false;
        _expectsHighRead = false;
        _hasLatchedCount = false;
        _hasLatchedStatus = false;
    }

    public void WriteCount(byte value, ulong now)
    {
        switch (_access)
        {
            case 1:
                LoadCount(value, now);
                break;
            case 2:
                LoadCount(value << 8, now);
                break;
            default:
                if (!_expectsHighWrite)
                {
                    _writeLow = value;
                    _expectsHighWrite = true;
                    if (_mode == 0)
                    {
                        // The first byte stops counting ("Mode 0").
                        _isLoaded = false;
                    }

                    break;
                }

                _expectsHighWrite = false;
                LoadCount(_writeLow | (value << 8), now);
                break;
        }
    }

    public byte ReadCount(ulong now)
    {
        if (_hasLatchedStatus)
        {
            _hasLatchedStatus = false;
            return _latchedStatus;
        }

        ushort count = _hasLatchedCount ? _latchedCount : CurrentCount(now);
        switch (_access)
        {
            case 1:
                _hasLatchedCount = false;
                return (byte)count;
            case 2:
                _hasLatchedCount = false;
                return (byte)(count >> 8);
            default:
                bool isHigh = _expectsHighRead;
                _expectsHighRead = !isHigh;
                if (isHigh)
                {
                    _hasLatchedCount = false;
                }

                return (byte)(isHigh ? count >> 8 : count);
        }
    }

    public void LatchCount(ulong now)
    {
        if (!_hasLatchedCount)
        {
            _latchedCount = CurrentCount(now);
            _hasLatchedCount = true;
        }
    }

    /// <summary>Read-back of the status ("Read-Back Command"): output, null count, access, mode, BCD.</summary>
    public void LatchStatus(ulong now)
    {
        if (!_hasLatchedStatus)
        {
            _latchedStatus = (byte)((Output(now) ? 0x80 : 0) | (_isLoaded ? 0 : 0x40) | (_access << 4) | (_mode << 1) | (_isBcd ? 1 : 0));
            _hasLatchedStatus = true;
        }
    }

    public void SetGate(bool gate, ulong now)
    {
        if (gate == _gate)
        {
            return;
        }

        if (!gate)
        {
            _ticksAtGateLow = IsCounting ? Ticks(now) : 0;
        }
        else if (IsGateStarted)
        {
            _isTriggered = true;
            _loadTime = now;
        }
        else
        {
            // Periodic modes start over when the gate rises; the others go on where they were.
            long done = IsPeriodic ? 0 : _ticksAtGateLow;
            _loadTime = now - Math.Min(now, Pit.ToNanoseconds(done));
            _ticksAtGateLow = 0;
        }

        _gate = gate;
    }

    public bool Output(ulong now)
    {
        if (!_isLoaded)
        {
            return _mode != 0;
        }

        if (IsPeriodic && !_gate)
        {
            return true;
        }

        long ticks = Ticks(now);
        switch (_mode)
        {
            case 0:
                return ticks >= _count;
            case 1:
                return !_isTriggered || ticks >= _count;
            case 2:
                return ticks % _count != _count - 1;
            case 3:
                return ticks % _count < (_count + 1) / 2;
            default:
                return (_mode == 5 && !_isTriggered) || ticks != _count;
        }
    }

    /// <summary>VM time of the next rise of the output after <paramref name="now"/>; null if none is due.</summary>
    public ulong? NextRise(ulong now)
    {
        if (!IsCounting)
        {
            return null;
        }

        long ticks = Ticks(now);
        if (IsPeriodic)
        {
            return _loadTime + Pit.ToNanoseconds(((ticks / _count) + 1) * _count);
        }

        // Modes 4 and 5 strobe low for one tick; modes 0 and 1 rise at terminal count.
        long rise = _mode >= 4 ? _count + 1L : _count;
        return ticks < rise ? _loadTime + Pit.ToNanoseconds(rise) : null;
    }

    public PitChannelState Save() => new()
    {
        Mode = _mode,
        Access = _access,
        IsBcd = _isBcd,
        Gate = _gate,
        Count = _count,
        IsLoaded = _isLoaded,
        LoadTime = _loadTime,
        TicksAtGateLow = _ticksAtGateLow,
        IsTriggered = _isTriggered,
        WriteLow = _writeLow,
        ExpectsHighWrite = _expectsHighWrite,
        ExpectsHighRead = _expectsHighRead,
        HasLatchedCount = _hasLatchedCount,
        LatchedCount = _latchedCount,
        HasLatchedStatus = _hasLatchedStatus,
        LatchedStatus = _latchedStatus,
    };

    public static void Validate(PitChannelState? state, string name)
    {
        if (state is null)
        {
            throw new DeviceStateException(name, nameof(PitState.Channels), "a counter is missing");
        }

        if (state.Mode > 5)
        {
            throw new DeviceStateException(name, nameof(state.Mode), $"there is no mode {state.Mode}");
        }

        if (state.Access is < 1 or > 3)
        {
            throw new DeviceStateException(name, nameof(state.Access), $"{state.Access} is not in 1 to 3");
        }

        if (state.Count < 1 || state.Count > (state.IsBcd ? MaxBcdCount : MaxCount))
        {
            throw new DeviceStateException(name, nameof(state.Count), $"{state.Count} is not a count");
        }

        if (state.TicksAtGateLow < 0)
        {
            throw new DeviceStateException(name, nameof(state.TicksAtGateLow), "is negative");
        }
    }

    public void Load(PitChannelState state)
    {
        _mode = state.Mode;
        _access = state.Access;
        _isBcd = state.IsBcd;
        _gate = state.Gate;
        _count = state.Count;
        _isLoaded = state.IsLoaded;
        _loadTime = state.LoadTime;
        _ticksAtGateLow = state.TicksAtGateLow;
        _isTriggered = state.IsTriggered;
        _writeLow = state.WriteLow;
        _expectsHighWrite = state.ExpectsHighWrite;
        _expectsHighRead = state.ExpectsHighRead;
        _hasLatchedCount = state.HasLatchedCount;
        _latchedCount = state.LatchedCount;
        _hasLatchedStatus = state.HasLatchedStatus;
        _latchedStatus = state.LatchedStatus;
    }

    private static int FromBcd(int value) =>
        (value & 0xf) + (10 * ((value >> 4) & 0xf)) + (100 * ((value >> 8) & 0xf)) + (1000 * ((value >> 12) & 0xf));

    private static int ToBcd(int value) =>
        (value % 10) | ((value / 10 % 10) << 4) | ((value / 100 % 10) << 8) | ((value / 1000 % 10) << 12);

    private void LoadCount(int value, ulong now)
    {
        // Zero stands for the largest count. A digit above 9 in BCD has no meaning; it counts what its weight says, within limits.
        int maximum = _isBcd ? MaxBcdCount : MaxCount;
        int count = _isBcd ? FromBcd(value) : value;
        _count = count == 0 ? maximum : Math.Min(count, maximum);
        _isLoaded = true;
        _ticksAtGateLow = 0;
        if (!IsGateStarted || !_isTriggered)
        {
            _loadTime = now;
        }
    }

    private long Ticks(ulong now)
    {
        if (!IsCounting)
        {
            return _ticksAtGateLow;
        }

        return now <= _loadTime ? 0 : Pit.ToTicks(now - _loadTime);
    }

    private ushort CurrentCount(ulong now)
    {
        long ticks = Ticks(now);
        long left = _mode switch
        {
            2 => _count - (ticks % _count),
            3 => _count - (2 * (ticks % _count) % _count),
            _ => _count - ticks,
        };

        // One-shot modes count on below zero and wrap.
        int modulus = _isBcd ? MaxBcdCount : MaxCount;
        int value = (int)(((left % modulus) + modulus) % modulus);
        return (ushort)(_isBcd ? ToBcd(value) : value);
    }
}
