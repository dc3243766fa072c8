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

    /// <summary>A second descriptor of the same open file, closed on exec; the caller owns it.</summary>
    /// <exception cref="LinuxException">The descriptor is not open, or none is left.</exception>
    public static int Duplicate(int fd) => LinuxError.Check(Libc.fcntl(fd, Libc.F_DUPFD_CLOEXEC, 0), $"duplicate descriptor {fd}");

    /// <summary>Makes <paramref name="number"/> a descriptor of the same open file as <paramref name="fd"/>, kept on exec; what it was before is closed (dup2(2)).</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static void Replace(int number, int fd) => LinuxError.Check(Libc.dup2(fd, number), $"make descriptor {number} one of {fd}");

    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;
}
