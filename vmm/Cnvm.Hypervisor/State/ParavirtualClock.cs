namespace Cnvm.Hypervisor.State;

/// <summary>The guest's paravirtual clock at one instant.</summary>
/// <param name="Nanoseconds">Guest time since boot, as kvmclock counts it.</param>
/// <param name="RealtimeNanoseconds">Host wall clock (CLOCK_REALTIME) at the same instant; 0 in states that do not say.</param>
/// <param name="HostTsc">Host TSC at the same instant; 0 if the host does not tell.</param>
public sealed record ParavirtualClock(ulong Nanoseconds, ulong RealtimeNanoseconds, ulong HostTsc)
{
    /// <summary>The host's wall clock now, in nanoseconds since 1970.</summary>
    public static ulong RealtimeNow => (ulong)(DateTime.UtcNow - DateTime.UnixEpoch).Ticks * (1_000_000_000 / TimeSpan.TicksPerSecond);
}
