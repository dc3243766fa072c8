namespace Cnvm.Virtio.Fs;

/// <summary>What a file system device has done since it was made, and what it holds now.</summary>
/// <param name="Requests">FUSE requests, of whatever kind.</param>
/// <param name="Errors">Requests that were answered with an error number, ENOENT too.</param>
/// <param name="Nodes">Files and directories that the guest remembers now.</param>
/// <param name="Handles">Files and directories that the guest has open now.</param>
public readonly record struct FsCounters(
    ulong Requests,
    ulong Errors,
    ulong ReadOps,
    ulong ReadBytes,
    ulong WriteOps,
    ulong WriteBytes,
    ulong Nodes,
    ulong Handles);
