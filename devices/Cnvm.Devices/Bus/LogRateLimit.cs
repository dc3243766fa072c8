using System.Diagnostics;

namespace Cnvm.Devices.Bus;

/// <summary>
/// Lets a burst of log lines through and then a few a second, whatever a guest does. One for each kind of line. Any thread.
/// </summary>
public sealed class LogRateLimit
{
    private const int Burst = 10;
    private static readonly long Window = Stopwatch.Frequency * 5;

    private long _windowStart = Stopwatch.GetTimestamp();
    private long _taken;
    private long _suppressed;

    /// <summary>
    /// True when a line may be written now; <paramref name="suppressed"/> then says how many were not since the last one.
    /// </summary>
    public bool TryTake(out long suppressed)
    {
        long start = Volatile.Read(ref _windowStart);
        long now = Stopwatch.GetTimestamp();

        // One thread wins the new window; a loser counts against it, which is only less generous.
        if (now - start > Window && Interlocked.CompareExchange(ref _windowStart, now, start) == start)
        {
            Volatile.Write(ref _taken, 0);
        }

        if (Interlocked.Increment(ref _taken) <= Burst)
        {
            suppressed = Interlocked.Exchange(ref _suppressed, 0);
            return true;
        }

        Interlocked.Increment(ref _suppressed);
        suppressed = 0;
        return false;
    }
}
