using Cnvm.Linux;

namespace Cnvm.Virtio;

/// <summary>
/// When to look again for a peer that has gone: 200 ms after, then ever less often, at last every 3.2 seconds. Any thread sets it; one watches it.
/// </summary>
internal sealed class RetryTimer : IDisposable
{
    private const long FirstNanoseconds = 200_000_000;
    private const long LastNanoseconds = 16 * FirstNanoseconds;

    // A connection that held so long was a good one: the next is looked for as often as at first.
    private const long SteadyMilliseconds = 10_000;

    private readonly TimerFd _timer = new();
    private long _nanoseconds = FirstNanoseconds;

    /// <summary>Readable when it is time.</summary>
    public int Fd => _timer.Fd;

    /// <summary>Takes note that it is time; false if it is not.</summary>
    public bool Drain() => _timer.Drain();

    /// <summary>Nobody was there: later again.</summary>
    public void Retry()
    {
        long after = Volatile.Read(ref _nanoseconds);
        Volatile.Write(ref _nanoseconds, Math.Min(2 * after, LastNanoseconds));
        _timer.Set(after);
    }

    /// <summary>The peer has gone.</summary>
    /// <param name="connectedAt">When it came, as <see cref="Environment.TickCount64"/> was then.</param>
    public void RetryAfter(long connectedAt)
    {
        if (Environment.TickCount64 - connectedAt > SteadyMilliseconds)
        {
            Volatile.Write(ref _nanoseconds, FirstNanoseconds);
        }

        Retry();
    }

    /// <summary>Looks at once.</summary>
    public void RetryNow()
    {
        Volatile.Write(ref _nanoseconds, FirstNanoseconds);
        _timer.Set(1);
    }

    public void Dispose() => _timer.Dispose();
}
