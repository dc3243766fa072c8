using Cnvm.Linux;

namespace Cnvm.Virtio.RateLimits;

/// <summary>
/// Holds one worker to a limit: when it has to wait, a timer wakes it, and nothing else is asked for meanwhile. The worker's thread alone.
/// </summary>
internal sealed class Throttle(RateLimiter limiter) : IDisposable
{
    /// <summary>Shortest wait: a limit of many operations a second lets bursts through instead of waking the worker for each.</summary>
    private const long MinWait = 1_000_000;

    /// <summary>Longest wait before looking again.</summary>
    private const long MaxWait = 3_600_000_000_000;

    private readonly TimerFd _timer = new();

    /// <summary>Readable when the wait is over.</summary>
    public int Fd => _timer.Fd;

    /// <summary>The worker waits for the timer.</summary>
    public bool IsWaiting { get; private set; }

    /// <summary>Counts an operation if it may begin now; begins to wait otherwise.</summary>
    public bool TryTake(uint bytes) => limiter.TryTake(bytes, out long wait) || Sleep(wait);

    /// <summary>Whether an operation may begin now, to be counted with <see cref="Charge"/>; begins to wait otherwise.</summary>
    public bool IsOpen() => limiter.IsOpen(out long wait) || Sleep(wait);

    public void Charge(uint bytes) => limiter.Charge(bytes);

    /// <summary>The timer fired.</summary>
    public void Wake()
    {
        _timer.Drain();
        IsWaiting = false;
    }

    public void Dispose() => _timer.Dispose();

    private bool Sleep(long wait)
    {
        _timer.Set(Math.Clamp(wait, MinWait, MaxWait));
        IsWaiting = true;
        return false;
    }
}
