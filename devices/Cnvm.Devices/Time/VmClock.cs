using System.Diagnostics;

namespace Cnvm.Devices.Time;

/// <summary>
/// VM time from the host's monotonic clock. Made stopped, at 0. A timer fires less than a millisecond after its deadline plus
/// what the host's scheduler adds; the thread that runs callbacks exists from the first armed timer on and sleeps in between.
/// </summary>
public sealed class VmClock : IVmClock, IDisposable
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const ulong NanosecondsPerMillisecond = 1_000_000;
    private const ulong LongestWaitMilliseconds = 60_000;

    // Guards the timers; the thread waits on it, so it is a plain object.
    private readonly object _lock = new();
    private readonly List<Timer> _armed = [];

    // Replaced as a whole by start and stop, so that the time is read without a lock.
    private volatile Epoch _epoch = new(0, 0, IsRunning: false);
    private Thread? _thread;
    private Timer? _firing;
    private bool _isDisposed;

    public ulong Nanoseconds => _epoch.Now;

    public bool IsRunning => _epoch.IsRunning;

    public IVmTimer CreateTimer(Action callback)
    {
        ArgumentNullException.ThrowIfNull(callback);
        return new Timer(this, callback);
    }

    /// <summary>Lets time go on; no effect while it runs.</summary>
    public void Start()
    {
        lock (_lock)
        {
            if (!_epoch.IsRunning)
            {
                _epoch = new Epoch(_epoch.Now, Stopwatch.GetTimestamp(), IsRunning: true);
                Monitor.PulseAll(_lock);
            }
        }
    }

    /// <summary>Halts time. When it returns, no callback runs, unless it is called from one.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _epoch = new Epoch(_epoch.Now, 0, IsRunning: false);
            while (_firing is not null && Thread.CurrentThread != _thread)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>Sets the time of a stopped clock: what <see cref="Nanoseconds"/> said when the machine was saved.</summary>
    /// <exception cref="InvalidOperationException">The clock runs.</exception>
    public void Restore(ulong nanoseconds)
    {
        lock (_lock)
        {
            if (_epoch.IsRunning)
            {
                throw new InvalidOperationException("VM time is set only while it is stopped");
            }

            _epoch = new Epoch(nanoseconds, 0, IsRunning: false);
        }
    }

    public void Dispose()
    {
        Thread? thread;
        lock (_lock)
        {
            _isDisposed = true;
            thread = _thread;
            Monitor.PulseAll(_lock);
        }

        if (thread != Thread.CurrentThread)
        {
            thread?.Join();
        }
    }

    private void Arm(Timer timer, ulong deadline)
    {
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            timer.Deadline = deadline;
            if (!timer.IsArmed)
            {
                timer.IsArmed = true;
                _armed.Add(timer);
            }

            if (_thread is null)
            {
                _thread = new Thread(Run, maxStackSize: 256 << 10) { IsBackground = true, Name = "vm-clock" };
                _thread.Start();
            }

            Monitor.PulseAll(_lock);
        }
    }

    private void Disarm(Timer timer)
    {
        lock (_lock)
        {
            timer.IsArmed = false;
            _armed.Remove(timer);
        }
    }

    private void Run()
    {
        lock (_lock)
        {
            while (!_isDisposed)
            {
                if (!_epoch.IsRunning || Earliest() is not { } next)
                {
                    Monitor.Wait(_lock);
                    continue;
                }

                ulong now = _epoch.Now;
                if (next.Deadline > now)
                {
                    ulong milliseconds = ((next.Deadline - now - 1) / NanosecondsPerMillisecond) + 1;
                    Monitor.Wait(_lock, (int)Math.Min(milliseconds, LongestWaitMilliseconds));
                    continue;
                }

                next.IsArmed = false;
                _armed.Remove(next);
                _firing = next;
                Monitor.Exit(_lock);
                try
                {
                    // Without the lock: the callback takes its device's lock, under which others arm timers.
                    next.Callback();
                }
                finally
                {
                    Monitor.Enter(_lock);
                    _firing = null;
                    Monitor.PulseAll(_lock);
                }
            }
        }
    }

    private Timer? Earliest()
    {
        Timer? earliest = null;
        foreach (Timer timer in _armed)
        {
            if (earliest is null || timer.Deadline < earliest.Deadline)
            {
                earliest = timer;
            }
        }

        return earliest;
    }

    /// <summary>Time is <paramref name="Base"/> plus what passed since <paramref name="Since"/>, while running.</summary>
    private sealed record Epoch(ulong Base, long Since, bool IsRunning)
    {
        public ulong Now
        {
            get
            {
                if (!IsRunning)
                {
                    return Base;
                }

                ulong elapsed = (ulong)Math.Max(0, Stopwatch.GetTimestamp() - Since);
                ulong frequency = (ulong)Stopwatch.Frequency;
                return Base + (frequency == NanosecondsPerSecond
                    ? elapsed
                    : (ulong)((UInt128)elapsed * NanosecondsPerSecond / frequency));
            }
        }
    }

    private sealed class Timer(VmClock clock, Action callback) : IVmTimer
    {
        public readonly Action Callback = callback;
        public ulong Deadline;
        public bool IsArmed;

        public void Arm(ulong deadline) => clock.Arm(this, deadline);

        public void Disarm() => clock.Disarm(this);

        public void Dispose() => clock.Disarm(this);
    }
}
