namespace Cnvm.Api.Metrics;

/// <summary>A histogram of how long an endpoint's requests took, from their last byte to their answer. Any thread.</summary>
internal sealed class CallLatency
{
    private const int FirstServerError = 500;
    private const int FirstClientError = 400;
    private readonly long[] _counts = new long[Bounds.Length + 1];
    private long _ticks;
    private long _refused;
    private long _failed;

    /// <summary>Upper bounds of the buckets but the last, in seconds.</summary>
    public static ReadOnlySpan<double> Bounds => [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    /// <summary>Seconds of all requests together.</summary>
    public double TotalSeconds => Volatile.Read(ref _ticks) / (double)TimeSpan.TicksPerSecond;

    /// <summary>Requests that were answered with a status from 400 to 499.</summary>
    public long Refused => Volatile.Read(ref _refused);

    /// <summary>Requests that were answered with a status from 500.</summary>
    public long Failed => Volatile.Read(ref _failed);

    /// <summary>Requests in a bucket alone; the last bucket has no bound.</summary>
    public long Count(int bucket) => Volatile.Read(ref _counts[bucket]);

    public void Add(TimeSpan took, int status)
    {
        int bucket = 0;
        while (bucket < Bounds.Length && took.TotalSeconds > Bounds[bucket])
        {
            bucket++;
        }

        Interlocked.Increment(ref _counts[bucket]);
        Interlocked.Add(ref _ticks, took.Ticks);
        if (status >= FirstServerError)
        {
            Interlocked.Increment(ref _failed);
        }
        else if (status >= FirstClientError)
        {
            Interlocked.Increment(ref _refused);
        }
    }
}
