using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>An open file or directory.</summary>
internal sealed class FsHandle(ulong id, ulong node, uint flags, bool isDirectory, FileDescriptor? descriptor)
{
    public ulong Id { get; } = id;

    public ulong Node { get; } = node;

    /// <summary>Flags of open(2) without those that count at the first time only.</summary>
    public uint Flags { get; } = flags;

    public bool IsDirectory { get; } = isDirectory;

    /// <summary>Null: the file was not there when the machine was restored.</summary>
    public FileDescriptor? Descriptor { get; } = descriptor;

    /// <summary>The handle's lock of the whole file (flock(2)): F_RDLCK, F_WRLCK or F_UNLCK. Under the lock of <see cref="FsLocks"/>.</summary>
    public short Lock { get; set; } = FileLocks.F_UNLCK;

    /// <summary>Where the descriptor of a directory stands. Under the handle's own lock.</summary>
    public long Position { get; set; }
}
