namespace Cnvm.Devices.Time;

/// <content>Periodic, alarm and update-ended interrupts ("Interrupts"); all under the clock's lock.</content>
public sealed partial class Rtc
{
    private void OnTimer()
    {
        lock (_lock)
        {
            Account();
            UpdateLine();
            Schedule();
        }
    }

    /// <summary>Sets the flags of register C for all that has passed since the last look.</summary>
    private void Account()
    {
        if (PeriodNanoseconds() is { } period)
        {
            ulong periods = PeriodsAt(_clock.Nanoseconds, period);
            if (periods > _lastPeriod)
            {
                _lastPeriod = periods;
                _cmos[RegisterC] |= CPeriodic;
            }
        }

        long second = UtcTicks() / TimeSpan.TicksPerSecond;
        if (!IsHalted && second != _lastSecond)
        {
            _cmos[RegisterC] |= CUpdate;

            // After a day every alarm that can match has matched.
            long from = second > _lastSecond ? Math.Max(_lastSecond + 1, second - SecondsPerDay + 1) : second;
            for (long passed = from; passed <= second; passed++)
            {
                if (MatchesAlarm((int)(passed % SecondsPerDay)))
                {
                    _cmos[RegisterC] |= CAlarm;
                    break;
                }
            }

            _lastSecond = second;
        }

        SetInterruptFlag();
    }

    private bool MatchesAlarm(int secondOfDay) =>
        Matches(_cmos[SecondsAlarm], Encode(secondOfDay % 60))
        && Matches(_cmos[MinutesAlarm], Encode(secondOfDay / 60 % 60))
        && Matches(_cmos[HoursAlarm], EncodeHour(secondOfDay / 3600));

    // 0xc0 to 0xff: any value.
    private static bool Matches(byte alarm, byte now) => alarm >= AlarmAny || alarm == now;

    private void SetInterruptFlag()
    {
        // The enables of register B have the places of the flags of register C.
        if ((_cmos[RegisterB] & _cmos[RegisterC] & (CPeriodic | CAlarm | CUpdate)) != 0)
        {
            _cmos[RegisterC] |= CInterrupt;
        }
        else
        {
            _cmos[RegisterC] &= unchecked((byte)~CInterrupt);
        }
    }

    private void UpdateLine()
    {
        SetInterruptFlag();
        _line.SetLevel((_cmos[RegisterC] & CInterrupt) != 0);
    }

    /// <summary>Sets the timer for the next event that would interrupt; none is set while nothing is enabled.</summary>
    private void Schedule()
    {
        ulong now = _clock.Nanoseconds;
        ulong due = ulong.MaxValue;
        if ((_cmos[RegisterB] & BPeriodic) != 0 && (_cmos[RegisterC] & CPeriodic) == 0 && PeriodNanoseconds() is { } period)
        {
            ulong next = (ulong)((((UInt128)PeriodsAt(now, period) + 1) * period) + (CrystalFrequency - 1)) / CrystalFrequency;
            due = _periodOrigin + next;
        }

        byte flags = _cmos[RegisterC];
        bool awaitsUpdate = (_cmos[RegisterB] & BUpdate) != 0 && (flags & CUpdate) == 0;
        bool awaitsAlarm = (_cmos[RegisterB] & BAlarm) != 0 && (flags & CAlarm) == 0;
        if (!IsHalted && (awaitsUpdate || awaitsAlarm))
        {
            long left = TimeSpan.TicksPerSecond - (UtcTicks() % TimeSpan.TicksPerSecond);
            due = Math.Min(due, now + ((ulong)left * NanosecondsPerTick));
        }

        if (due == ulong.MaxValue)
        {
            _timer.Disarm();
        }
        else
        {
            _timer.Arm(due);
        }
    }

    /// <summary>
    /// Length of a period in nanoseconds times the crystal's frequency, exactly; null while the periodic rate is off. Rates 1 and
    /// 2 are those of 8 and 9 with a 32.768 kHz crystal ("Periodic Interrupt Selection").
    /// </summary>
    private ulong? PeriodNanoseconds()
    {
        int rate = _cmos[RegisterA] & ARateMask;
        if (rate == 0 || (_cmos[RegisterA] & ADividerReset) == ADividerReset)
        {
            return null;
        }

        int shift = rate <= 2 ? rate + 6 : rate - 1;
        return NanosecondsPerSecond << shift;
    }

    private ulong PeriodsAt(ulong now, ulong period) =>
        now <= _periodOrigin ? 0 : (ulong)((UInt128)(now - _periodOrigin) * CrystalFrequency / period);
}
