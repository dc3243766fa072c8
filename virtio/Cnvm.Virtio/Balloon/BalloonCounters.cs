namespace Cnvm.Virtio.Balloon;

/// <summary>A balloon's figures.</summary>
/// <param name="TargetBytes">What the guest is asked to give up now.</param>
/// <param name="ActualBytes">What it says it has given up.</param>
/// <param name="InflatedBytes">Given back to the host from the balloon, ever.</param>
/// <param name="ReportedBytes">Given back to the host because the guest reported them as free, ever.</param>
public readonly record struct BalloonCounters(ulong TargetBytes, ulong ActualBytes, ulong InflatedBytes, ulong ReportedBytes);
