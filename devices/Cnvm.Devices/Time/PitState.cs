namespace Cnvm.Devices.Time;

/// <summary>An 8254 and the speaker bit of port 0x61.</summary>
public sealed record PitState
{
    /// <summary>Three counters.</summary>
    public required PitChannelState[] Channels { get; init; }

    public bool SpeakerData { get; init; }

    /// <summary>Level of interrupt 0.</summary>
    public bool LineLevel { get; init; }

    /// <summary>VM time in nanoseconds of the next interrupt, which may have passed without being raised; null: none.</summary>
    public ulong? Due { get; init; }
}
