namespace Cnvm.Virtio.Watchdog;

/// <summary>What a watchdog remembers.</summary>
public sealed record WatchdogState : VirtioDeviceState
{
    /// <summary>The guest has begun to report: it is reset when it stops doing so.</summary>
    public required bool IsArmed { get; init; }
}
