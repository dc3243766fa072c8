using System.Diagnostics;

namespace Cnvm.Virtio.RateLimits;

/// <summary>Limits bytes and operations a second, of one device or of all that share it. Any thread; allocates nothing.</summary>
public sealed class RateLimiter
{
    private readonly Lock _lock = new();
    private readonly TokenBucket? _bandwidth;
    private readonly TokenBucket? _operations;
    private ulong _waits;

    /// <param name="bandwidth">Limit of bytes; null: none.</param>
    /// <param name="operations">Limit of operations; null: none.</param>
    /// <exception cref="ArgumentException">A bucket's size or time is 0.</exception>
    public RateLimiter(TokenBucketOptions? bandwidth, TokenBucketOptions? operations)
    {
        long now = Now();
        _bandwidth = bandwidth is null ? null : new TokenBucket(bandwidth, now);
        _operations = operations is null ? null : new TokenBucket(operations, now);
    }

    /// <summary>How often somebody had to wait.</summary>
    public ulong Waits => Volatile.Read(ref _waits);

    /// <summary>Counts an operation of so many bytes, if it may begin now.</summary>
    /// <param name="wait">Nanoseconds until it may, otherwise.</param>
    internal bool TryTake(uint bytes, out long wait)
    {
        lock (_lock)
        {
            wait = Wait();
            if (wait > 0)
            {
                return false;
            }

            Take(bytes);
            return true;
        }
    }

    /// <summary>Whether an operation, whose bytes are not known yet, may begin now; <see cref="Charge"/> counts it afterwards.</summary>
    /// <inheritdoc cref="TryTake"/>
    internal bool IsOpen(out long wait)
    {
        lock (_lock)
        {
            wait = Wait();
            return wait == 0;
        }
    }

    /// <summary>Counts an operation that took place.</summary>
    internal void Charge(uint bytes)
    {
        lock (_lock)
        {
            Take(bytes);
        }
    }

    private static long Now() => Stopwatch.GetElapsedTime(0).Ticks * TimeSpan.NanosecondsPerTick;

    private long Wait()
    {
        long now = Now();
        long wait = Math.Max(_bandwidth?.Wait(now) ?? 0, _operations?.Wait(now) ?? 0);
        if (wait > 0)
        {
            Volatile.Write(ref _waits, _waits + 1);
        }

        return wait;
    }

    private void Take(uint bytes)
    {
        _bandwidth?.Take(bytes);
        _operations?.Take(1);
    }
}
