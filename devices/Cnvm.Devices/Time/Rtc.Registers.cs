namespace Cnvm.Devices.Time;

/// <content>What the registers do; all under the clock's lock.</content>
public sealed partial class Rtc
{
    private bool IsBinary => (_cmos[RegisterB] & BBinary) != 0;

    private bool IsHalted =>
        (_cmos[RegisterB] & BSet) != 0 || (_cmos[RegisterA] & ADividerReset) == ADividerReset;

    private bool Is24Hour => (_cmos[RegisterB] & B24Hour) != 0;

    private byte ReadRegister(int register)
    {
        switch (register)
        {
            case Seconds:
            case Minutes:
            case Hours:
            case DayOfWeek:
            case DayOfMonth:
            case Month:
            case Year:
            case Century:
                if (!IsHalted)
                {
                    StoreTime(GuestTicks());
                }

                return _cmos[register];
            case RegisterA:
                return (byte)(_cmos[RegisterA] | (IsUpdating() ? AUpdateInProgress : 0));
            case RegisterC:
                Account();
                byte flags = _cmos[RegisterC];
                _cmos[RegisterC] = 0;
                UpdateLine();
                Schedule();
                return flags;
            case RegisterD:
                return DValid;
            default:
                return _cmos[register];
        }
    }

    private void WriteRegister(int register, byte value)
    {
        switch (register)
        {
            case Seconds:
            case Minutes:
            case Hours:
            case DayOfWeek:
            case DayOfMonth:
            case Month:
            case Year:
            case Century:
                WriteTime(register, value);
                break;
            case RegisterA:
                Account();
                WriteRegisterA((byte)(value & ~AUpdateInProgress));
                break;
            case RegisterB:
                Account();
                WriteRegisterB(value);
                break;
            case RegisterC:
            case RegisterD:
                break;
            default:
                _cmos[register] = value;
                if (register is SecondsAlarm or MinutesAlarm or HoursAlarm)
                {
                    Account();
                    Schedule();
                }

                break;
        }
    }

    private void WriteRegisterA(byte value)
    {
        bool changesRate = ((value ^ _cmos[RegisterA]) & (ADividerMask | ARateMask)) != 0;
        bool wasHalted = IsHalted;
        _cmos[RegisterA] = value;
        HaltOrRun(wasHalted);
        if (changesRate)
        {
            _periodOrigin = _clock.Nanoseconds;
            _lastPeriod = 0;
        }

        Schedule();
    }

    private void WriteRegisterB(byte value)
    {
        bool wasHalted = IsHalted;

        // "Set": aborts an update and clears the update interrupt enable.
        byte effective = (value & BSet) != 0 ? (byte)(value & ~BUpdate) : value;
        _cmos[RegisterB] = effective;
        HaltOrRun(wasHalted);
        UpdateLine();
        Schedule();
    }

    /// <summary>
    /// While the set bit is set or the divider is held in reset, the time registers are plain memory that the guest fills in any
    /// order; the clock goes on from what they say then.
    /// </summary>
    private void HaltOrRun(bool wasHalted)
    {
        if (IsHalted && !wasHalted)
        {
            StoreTime(UtcTicks());
        }
        else if (!IsHalted && wasHalted)
        {
            SetGuestTicks(LoadTime());
        }
    }

    private void WriteTime(int register, byte value)
    {
        if (IsHalted)
        {
            _cmos[register] = value;
            return;
        }

        Account();
        long ticks = GuestTicks();
        StoreTime(ticks);
        _cmos[register] = value;
        SetGuestTicks(LoadTime() + (ticks % TimeSpan.TicksPerSecond));
        Schedule();
    }

    private void StoreTime(long ticks)
    {
        DateTime time = new(ticks, DateTimeKind.Utc);
        _cmos[Seconds] = Encode(time.Second);
        _cmos[Minutes] = Encode(time.Minute);
        _cmos[Hours] = EncodeHour(time.Hour);
        _cmos[DayOfWeek] = Encode((int)time.DayOfWeek + 1);
        _cmos[DayOfMonth] = Encode(time.Day);
        _cmos[Month] = Encode(time.Month);
        _cmos[Year] = Encode(time.Year % 100);
        _cmos[Century] = Encode(time.Year / 100);
    }

    /// <summary>The time in the registers; what makes no date is brought to the nearest that does.</summary>
    private long LoadTime()
    {
        int year = Math.Clamp((Math.Min(Decode(_cmos[Century]), 99) * 100) + Math.Min(Decode(_cmos[Year]), 99), 1, 9999);
        int month = Math.Clamp(Decode(_cmos[Month]), 1, 12);
        int day = Math.Clamp(Decode(_cmos[DayOfMonth]), 1, DateTime.DaysInMonth(year, month));
        int minute = Math.Min(Decode(_cmos[Minutes]), 59);
        int second = Math.Min(Decode(_cmos[Seconds]), 59);
        return new DateTime(year, month, day, DecodeHour(_cmos[Hours]), minute, second, DateTimeKind.Utc).Ticks;
    }

    private byte Encode(int number) => (byte)(IsBinary ? number : ((number / 10) << 4) | (number % 10));

    private int Decode(byte value) => IsBinary ? value : ((value >> 4) * 10) + (value & 0xf);

    private byte EncodeHour(int hour)
    {
        if (Is24Hour)
        {
            return Encode(hour);
        }

        int twelve = hour % 12 == 0 ? 12 : hour % 12;
        return (byte)(Encode(twelve) | (hour >= 12 ? PmFlag : 0));
    }

    private int DecodeHour(byte value)
    {
        if (Is24Hour)
        {
            return Math.Clamp(Decode(value), 0, 23);
        }

        int twelve = Math.Clamp(Decode((byte)(value & ~PmFlag)), 1, 12) % 12;
        return (value & PmFlag) != 0 ? twelve + 12 : twelve;
    }

    /// <summary>The guest's time in ticks of 100 ns, inside what a date can be.</summary>
    private long GuestTicks() => IsHalted ? LoadTime() : UtcTicks();

    private long UtcTicks() => Math.Clamp(_time.GetUtcNow().Ticks + _offset, 0, LastTick);

    private void SetGuestTicks(long ticks)
    {
        _offset = Math.Clamp(ticks - _time.GetUtcNow().Ticks, -LongestOffset, LongestOffset);
        _lastSecond = ticks / TimeSpan.TicksPerSecond;
    }

    private bool IsUpdating() => !IsHalted && UtcTicks() % TimeSpan.TicksPerSecond >= TimeSpan.TicksPerSecond - UpdateTicks;
}
