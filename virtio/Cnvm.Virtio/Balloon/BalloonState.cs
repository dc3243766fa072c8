namespace Cnvm.Virtio.Balloon;

/// <summary>What a balloon remembers.</summary>
public sealed record BalloonState : VirtioDeviceState
{
    /// <summary>Pages of 4 KiB that the guest was asked to give up.</summary>
    public required uint TargetPages { get; init; }

    /// <summary>Pages that the guest says it has given up.</summary>
    public required uint ActualPages { get; init; }
}
