namespace Cnvm.Hypervisor.Kvm;

/// <summary>A token bucket for log lines that a guest can cause. One thread.</summary>
internal sealed class RateLimit(int burst, int perSecond)
{
    private long _tokens = burst;
    private long _filled = Environment.TickCount64;

    /// <summary>Takes a token; false when there is none.</summary>
    public bool Allows()
    {
        long earned = (Environment.TickCount64 - _filled) * perSecond / 1000;
        if (earned > 0)
        {
            _tokens = Math.Min(burst, _tokens + earned);
            _filled = Environment.TickCount64;
        }

        return _tokens > 0 && _tokens-- > 0;
    }
}
