namespace Cnvm.Virtio.Fs;

/// <summary>A request for a lock that waits: the driver's buffer, which is looked at again.</summary>
public sealed record FsWaitState
{
    public required ushort Queue { get; init; }

    /// <summary>First descriptor of the buffer.</summary>
    public required ushort Head { get; init; }
}
