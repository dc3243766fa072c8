using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>A file descriptor that is closed once, when its owner disposes it.</summary>
/// <remarks>Hot paths take <see cref="Value"/> while the owner keeps this object alive.</remarks>
public sealed class FileDescriptor : SafeHandle
{
    /// <summary>Takes ownership of <paramref name="fd"/>.</summary>
    public FileDescriptor(int fd)
        : base(-1, ownsHandle: true) => SetHandle(fd);

    public override bool IsInvalid => handle < 0;

    /// <summary>The raw number; valid until this object is disposed.</summary>
    public int Value => (int)handle;

    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;
}
