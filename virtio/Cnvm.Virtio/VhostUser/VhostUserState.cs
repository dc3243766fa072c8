namespace Cnvm.Virtio.VhostUser;

/// <summary>What a vhost-user device remembers; the rest is the back end's.</summary>
public sealed record VhostUserState : VirtioDeviceState
{
    /// <summary>The configuration space that the driver has seen.</summary>
    public required byte[] Configuration { get; init; }

    /// <summary>Queue pairs that the driver of an interface uses; 0 elsewhere.</summary>
    public required uint ActivePairs { get; init; }
}
