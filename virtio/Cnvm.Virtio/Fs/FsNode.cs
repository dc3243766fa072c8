using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>A file or directory that the driver knows by number. Changed under the folder's lock only.</summary>
internal sealed class FsNode(ulong id, FileIdentity identity, uint type, FileDescriptor? descriptor)
{
    public ulong Id { get; } = id;

    public FileIdentity Identity { get; } = identity;

    /// <summary>The bits of S_IFMT.</summary>
    public uint Type { get; } = type;

    /// <summary>Opened with O_PATH; null: the file was not there when the machine was restored.</summary>
    public FileDescriptor? Descriptor { get; } = descriptor;

    /// <summary>How often the driver was told of it, less what it forgot.</summary>
    public ulong Lookups { get; set; }
}
