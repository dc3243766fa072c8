namespace Cnvm.Devices.Time;

/// <summary>VM time: nanoseconds that the machine has run; it stands still while the machine is paused. Any thread.</summary>
public interface IVmClock
{
    ulong Nanoseconds { get; }

    /// <summary>Makes a timer. <paramref name="callback"/> runs on the clock's own thread and must not block.</summary>
    IVmTimer CreateTimer(Action callback);
}
