namespace Cnvm.Ttrpc;

/// <summary><c>google.protobuf.Timestamp</c>: an instant, in UTC.</summary>
[ProtoMessage]
public sealed partial record ProtoTimestamp
{
    private const int NanosecondsPerTick = 100;
    private const int NanosecondsPerSecond = 1_000_000_000;

    /// <summary>Whole seconds since 1970-01-01, negative before.</summary>
    [ProtoMember(1)]
    public long Seconds { get; init; }

    /// <summary>Nanoseconds after those, 0 to 999999999.</summary>
    [ProtoMember(2)]
    public int Nanoseconds { get; init; }

    /// <summary>The same instant as <paramref name="time"/>.</summary>
    public static ProtoTimestamp From(DateTimeOffset time)
    {
        (long seconds, long ticks) = Math.DivRem(time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks, TimeSpan.TicksPerSecond);
        return ticks < 0
            ? new() { Seconds = seconds - 1, Nanoseconds = (int)(ticks + TimeSpan.TicksPerSecond) * NanosecondsPerTick }
            : new() { Seconds = seconds, Nanoseconds = (int)ticks * NanosecondsPerTick };
    }

    /// <summary>The same instant, to 100 ns, with offset 0.</summary>
    /// <exception cref="ProtoException">It is not in the years 1 to 9999, or the nanoseconds are no part of a second.</exception>
    public DateTimeOffset ToDateTimeOffset()
    {
        if (Nanoseconds is < 0 or >= NanosecondsPerSecond
            || Seconds < DateTimeOffset.MinValue.ToUnixTimeSeconds() || Seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds())
        {
            throw new ProtoException($"{Seconds} s and {Nanoseconds} ns are no time of the years 1 to 9999");
        }
        return DateTimeOffset.FromUnixTimeSeconds(Seconds).AddTicks(Nanoseconds / NanosecondsPerTick);
    }
}
