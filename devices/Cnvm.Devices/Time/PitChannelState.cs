namespace Cnvm.Devices.Time;

/// <summary>One counter of an 8254.</summary>
public sealed record PitChannelState
{
    /// <summary>0 to 5.</summary>
    public byte Mode { get; init; }

    /// <summary>1 low byte, 2 high byte, 3 low then high.</summary>
    public byte Access { get; init; }

    public bool IsBcd { get; init; }

    public bool Gate { get; init; }

    /// <summary>Initial count, 1 to 65536.</summary>
    public int Count { get; init; }

    /// <summary>A count was written since the control word: the counter counts.</summary>
    public bool IsLoaded { get; init; }

    /// <summary>VM time in nanoseconds at which the count was loaded, moved on by the time that the gate was low.</summary>
    public ulong LoadTime { get; init; }

    /// <summary>While the gate is low: clock ticks that were counted before.</summary>
    public long TicksAtGateLow { get; init; }

    /// <summary>One-shot modes started by the gate: it has risen.</summary>
    public bool IsTriggered { get; init; }

    public byte WriteLow { get; init; }

    public bool ExpectsHighWrite { get; init; }

    public bool ExpectsHighRead { get; init; }

    public bool HasLatchedCount { get; init; }

    public ushort LatchedCount { get; init; }

    public bool HasLatchedStatus { get; init; }

    public byte LatchedStatus { get; init; }
}
