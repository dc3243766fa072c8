namespace Cnvm.Virtio.Fs;

/// <summary>A lock that the guest has.</summary>
public sealed record FsLockState
{
    /// <summary>The handle by which it was locked.</summary>
    public required ulong Handle { get; init; }

    /// <summary>The guest kernel's name for whom it belongs to; 0 where it is the handle's.</summary>
    public required ulong Owner { get; init; }

    /// <summary>First byte.</summary>
    public required ulong Start { get; init; }

    /// <summary>Last byte; <see cref="long.MaxValue"/>: there is no end.</summary>
    public required ulong End { get; init; }

    public required bool IsExclusive { get; init; }

    /// <summary>As flock(2) locks; otherwise as fcntl(2) does.</summary>
    public required bool IsWhole { get; init; }

    /// <summary>The guest's number of the process that locked.</summary>
    public required uint Process { get; init; }
}
