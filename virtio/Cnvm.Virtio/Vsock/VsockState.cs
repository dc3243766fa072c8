namespace Cnvm.Virtio.Vsock;

/// <summary>What a socket device remembers. Connections end with the host process: a restored driver is told that they are gone.</summary>
public sealed record VsockState : VirtioDeviceState
{
    /// <summary>The context id that the driver was shown.</summary>
    public required uint Cid { get; init; }
}
