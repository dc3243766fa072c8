namespace Cnvm.Virtio.Fs;

/// <summary>An open file or directory.</summary>
public sealed record FsHandleState
{
    public required ulong Id { get; init; }

    /// <summary>The node that was opened.</summary>
    public required ulong Node { get; init; }

    /// <summary>Flags of open(2) with which it is opened again.</summary>
    public required uint Flags { get; init; }

    public required bool IsDirectory { get; init; }
}
