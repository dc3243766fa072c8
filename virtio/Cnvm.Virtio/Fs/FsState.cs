namespace Cnvm.Virtio.Fs;

/// <summary>What a file system device remembers: the FUSE session, and what the driver's numbers stand for.</summary>
public sealed record FsState : VirtioDeviceState
{
    /// <summary>What the driver was shown.</summary>
    public required string Tag { get; init; }

    /// <summary>Minor version of the protocol that was agreed on; 0 before FUSE_INIT.</summary>
    public required uint Minor { get; init; }

    /// <summary>Flags of FUSE_INIT that were agreed on.</summary>
    public required uint Flags { get; init; }

    /// <summary>st_dev of the shared folder, by exclusive or with its file system's f_fsid (statfs(2)): where it is the same, so are the inode numbers.</summary>
    public required ulong RootDevice { get; init; }

    /// <summary>st_ino of the shared folder.</summary>
    public required ulong RootInode { get; init; }

    /// <summary>The number that the next node gets.</summary>
    public required ulong NextNode { get; init; }

    /// <summary>The number that the next handle gets.</summary>
    public required ulong NextHandle { get; init; }

    /// <summary>All nodes but the root, by number.</summary>
    public required FsNodeState[] Nodes { get; init; }

    /// <summary>What is open, by number.</summary>
    public required FsHandleState[] Handles { get; init; }

    /// <summary>Locks that are shared with the host; null: the guest neither has one nor waits for one.</summary>
    public FsLocksState? Locks { get; init; }
}
