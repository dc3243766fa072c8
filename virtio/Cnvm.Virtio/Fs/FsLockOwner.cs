using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// A process of the guest, or an open file of it, that has locked ranges of a file: it has an open file of its own on the host, so that its
/// locks and those of the guest's other owners exclude each other. Under the lock of <see cref="FsLocks"/>.
/// </summary>
internal sealed class FsLockOwner(FsLockKey key, ulong handle, FileDescriptor descriptor, bool canWrite)
{
    public FsLockKey Key { get; } = key;

    /// <summary>The handle by which it locked last: once that is closed, the guest has nothing left to give the locks back with.</summary>
    public ulong Handle { get; set; } = handle;

    public FileDescriptor Descriptor { get; set; } = descriptor;

    /// <summary>Exclusive locks need a descriptor that may write.</summary>
    public bool CanWrite { get; set; } = canWrite;

    /// <summary>The guest's number of the process that locked last.</summary>
    public uint Process { get; set; }

    public FsLockRanges Ranges { get; } = new();
}
