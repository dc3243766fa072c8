namespace Cnvm.Virtio.RateLimits;

/// <summary>
/// Tokens that come back with time, computed when they are asked for. Who finds any may take as many as wanted: what is missing becomes a
/// debt that later tokens pay, so one large request is as good as many small ones, and no request is too large. No clock of its own; one
/// thread at a time.
/// </summary>
internal sealed class TokenBucket
{
    private const ulong NanosecondsPerMillisecond = 1_000_000;
    private readonly long _size;
    private readonly UInt128 _refill;
    private long _tokens;
    private long _burst;
    private UInt128 _fraction;
    private long _updated;

    /// <param name="now">Nanoseconds of the clock that later calls count in.</param>
    /// <exception cref="ArgumentException">The size or the time is 0.</exception>
    public TokenBucket(TokenBucketOptions options, long now)
    {
        if (options.Size == 0 || options.RefillMilliseconds == 0)
        {
            throw new ArgumentException("a token bucket of no size, or that is never refilled, lets nothing through", nameof(options));
        }

        _size = (long)Math.Min(options.Size, long.MaxValue);
        _refill = (UInt128)options.RefillMilliseconds * NanosecondsPerMillisecond;
        _tokens = _size;
        _burst = (long)Math.Min(options.OneTimeBurst, long.MaxValue);
        _updated = now;
    }

    /// <summary>Nanoseconds until something may be taken; 0: now.</summary>
    public long Wait(long now)
    {
        Refill(now);
        if (_burst > 0 || _tokens > 0)
        {
            return 0;
        }

        // Rounded up: the first token is whole then. A debt of the largest request at the slowest rate may last longer than a long holds.
        UInt128 missing = ((UInt128)(1 - (Int128)_tokens) * _refill) - _fraction;
        UInt128 wait = (missing + (UInt128)_size - 1) / (UInt128)_size;
        return wait > long.MaxValue ? long.MaxValue : (long)wait;
    }

    /// <summary>Takes tokens, whether they are there or not.</summary>
    public void Take(uint tokens)
    {
        long fromBurst = Math.Min(_burst, tokens);
        _burst -= fromBurst;

        // A debt grows by 4 Gi at most with each request that found tokens, so it stays far from the end of the range.
        _tokens -= tokens - fromBurst;
    }

    private void Refill(long now)
    {
        if (now <= _updated)
        {
            return;
        }

        // What is left of a token is kept, so that none is lost however often this is called.
        UInt128 earned = ((UInt128)(ulong)(now - _updated) * (UInt128)_size) + _fraction;
        UInt128 whole = earned / _refill;
        _updated = now;
        UInt128 missing = (UInt128)((Int128)_size - _tokens);
        if (whole >= missing)
        {
            _tokens = _size;
            _fraction = 0;
        }
        else
        {
            _tokens += (long)whole;
            _fraction = earned % _refill;
        }
    }
}
