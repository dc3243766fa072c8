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

    /// <summary>Where the descriptor of a directory stands. Under the handle's own lock.</summary>
    public long Position { get; set; }
}
