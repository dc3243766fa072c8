using Cnvm.Devices.Time;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>VM time that a test moves; timers fire in order of their deadlines while it moves.</summary>
internal sealed class ManualClock : IVmClock
{
    private readonly List<Timer> _timers = [];

    public ulong Nanoseconds { get; set; }

    public IVmTimer CreateTimer(Action callback)
    {
        Timer timer = new(callback);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Deadline of the only armed timer, null if none is armed.</summary>
    public ulong? NextDeadline => _timers.Where(t => t.Deadline is not null).Min(t => t.Deadline);

    public void Advance(ulong nanoseconds)
    {
        ulong end = Nanoseconds + nanoseconds;
        for (int fired = 0; fired < 1_000_000; fired++)
        {
            Timer? next = _timers.Where(t => t.Deadline <= end).MinBy(t => t.Deadline);
            if (next is null)
            {
                Nanoseconds = end;
                return;
            }

            Nanoseconds = Math.Max(Nanoseconds, next.Deadline!.Value);
            next.Deadline = null;
            next.Callback();
        }

        throw new InvalidOperationException("timers never came to rest");
    }

    private sealed class Timer(Action callback) : IVmTimer
    {
        public ulong? Deadline { get; set; }

        public Action Callback { get; } = callback;

        public void Arm(ulong deadline) => Deadline = deadline;

        public void Disarm() => Deadline = null;

        public void Dispose() => Deadline = null;
    }
}
