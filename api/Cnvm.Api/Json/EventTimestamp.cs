namespace Cnvm.Api.Json;

/// <summary>Time since the process's start.</summary>
internal sealed record EventTimestamp(long Secs, long Nanos)
{
    public static EventTimestamp Of(TimeSpan time) =>
        new((long)time.TotalSeconds, time.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
}
