using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// A descriptor that stays open until this is disposed, whatever another queue closes or forgets meanwhile: its number cannot come to mean
/// another file of the VMM.
/// </summary>
internal readonly ref struct FileUse
{
    private readonly FileDescriptor? _held;

    /// <param name="error">Minus the error number.</param>
    public FileUse(int error)
    {
        Error = error;
        Fd = -1;
    }

    /// <summary>Takes hold of a descriptor that is known to be open.</summary>
    public FileUse(FileDescriptor descriptor, uint type, FsHandle? handle)
    {
        bool held = false;
        descriptor.DangerousAddRef(ref held);
        _held = descriptor;
        Fd = descriptor.Value;
        Type = type;
        Handle = handle;
    }

    /// <summary>0, or why there is none: minus the error number.</summary>
    public int Error { get; }

    public int Fd { get; }

    /// <summary>The bits of S_IFMT, of a node.</summary>
    public uint Type { get; }

    public FsHandle? Handle { get; }

    public void Dispose() => _held?.DangerousRelease();
}
