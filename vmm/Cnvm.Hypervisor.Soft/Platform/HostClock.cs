using System.Diagnostics;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>The host's monotonic clock.</summary>
internal static class HostClock
{
    /// <summary>Nanoseconds; on Linux the stopwatch counts them.</summary>
    public static long Now => Stopwatch.Frequency == 1_000_000_000
        ? Stopwatch.GetTimestamp()
        : (long)((Int128)Stopwatch.GetTimestamp() * 1_000_000_000 / Stopwatch.Frequency);
}
