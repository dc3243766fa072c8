namespace Cnvm.Devices.Time;

/// <summary>An 8254 and the speaker bit of port 0x61.</summary>
public sealed record PitState
{
    /// <summary>Three counters.</summary>
    public required PitChannelState[] Channels { get; init; }

    public bool SpeakerData { get; init; }
}
