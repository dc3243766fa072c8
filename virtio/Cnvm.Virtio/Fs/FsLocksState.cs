namespace Cnvm.Virtio.Fs;

/// <summary>What a guest whose folder shares locks has of them.</summary>
public sealed record FsLocksState
{
    /// <summary>Ranges by node, owner and first byte; then whole files by handle.</summary>
    public required FsLockState[] Held { get; init; }

    /// <summary>By queue.</summary>
    public required FsWaitState[] Waiting { get; init; }
}
