namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>The timer: it counts at 1 GHz before division, or waits for a TSC value (SDM vol. 3 §11.5.4).</summary>
internal sealed partial class LocalApic
{
    private const long Never = long.MaxValue;

    private uint _initialCount;
    private uint _divide;

    /// <summary>Host time in nanoseconds when the timer expires next; <see cref="Never"/> when it does not run.</summary>
    private long _expires = Never;
    private long _started;
    private ulong _tscDeadline;

    private uint TimerMode => (_lvt[LvtTimer] >> 17) & 3;

    private int DivideShift => (int)(((((_divide >> 1) & 4) | (_divide & 3)) + 1) & 7);

    /// <summary>IA32_TSC_DEADLINE.</summary>
    public ulong TscDeadline
    {
        get => TimerMode == 2 ? _tscDeadline : 0;
        set
        {
            if (TimerMode != 2)
            {
                return;
            }

            _tscDeadline = value;
            _expires = value == 0 ? Never : _vcpu.HostTimeOfTsc(value);
        }
    }

    /// <summary>0: due; -1: not running.</summary>
    public long NanosecondsToTimer() => _expires == Never ? -1 : Math.Max(0, _expires - HostClock.Now);

    /// <summary>Expires the timer when its time has come; true when it posted an interrupt.</summary>
    public bool CheckTimer()
    {
        if (_expires == Never)
        {
            return false;
        }

        long now = HostClock.Now;
        if (now < _expires)
        {
            return false;
        }

        if (TimerMode == 1)
        {
            // Periods that were slept through are lost, as on hardware while the interrupt is pending.
            long period = Math.Max(Period(_initialCount), 20_000);
            _expires += period * (((now - _expires) / period) + 1);
            _started = _expires - period;
        }
        else
        {
            _expires = Never;
            _tscDeadline = 0;
        }

        uint lvt = _lvt[LvtTimer];
        if ((lvt & LvtMasked) != 0)
        {
            return false;
        }

        Post((int)lvt & 0xff, level: false);
        return true;
    }

    /// <summary>Moves a running timer into the future by host time that the guest is not to see, in nanoseconds. While the vCPU is parked.</summary>
    public void SkipTime(long nanoseconds)
    {
        _started += nanoseconds;
        _expires = _expires == Never ? Never : _expires + nanoseconds;
    }

    private long Period(uint count) => (long)count << DivideShift;

    private void StopTimer()
    {
        _expires = Never;
        _tscDeadline = 0;
        _initialCount = 0;
    }

    private void SetInitialCount(uint value)
    {
        if (TimerMode == 2)
        {
            return;
        }

        _initialCount = value;
        _started = HostClock.Now;
        _expires = value == 0 ? Never : _started + Period(value);
    }

    private uint CurrentCount()
    {
        if (_expires == Never || TimerMode == 2)
        {
            return 0;
        }

        long left = Math.Max(0, _expires - HostClock.Now);
        return (uint)Math.Min(left >> DivideShift, _initialCount);
    }
}
