using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// A file that goes with the process that holds it: it is locked as long as that process lives, whatever ends it, and removed when this
/// object is disposed. Change such files under the lock of their <see cref="PrivateDirectory"/>.
/// </summary>
[Abi("fcntl.h")]
public sealed unsafe partial class OwnedFile : IDisposable
{
    private const int O_NOFOLLOW = 0x20000;
    private const int F_OFD_GETLK = 36;
    private const int F_OFD_SETLK = 37;
    private const short F_WRLCK = 1;
    private const short F_UNLCK = 2;
    private const uint OwnerReadWrite = 0x180;
    private readonly FileDescriptor _fd;
    private readonly string _path;

    private OwnedFile(FileDescriptor fd, string path)
    {
        _fd = fd;
        _path = path;
    }

    /// <summary>Makes the file, or takes over one that nobody holds any more; it is then empty.</summary>
    /// <returns>Null if a living process holds it.</returns>
    /// <exception cref="LinuxException">The file cannot be made.</exception>
    public static OwnedFile? TryCreate(string path)
    {
        int flags = Libc.O_RDWR | Libc.O_CREAT | Libc.O_CLOEXEC | O_NOFOLLOW;
        var fd = new FileDescriptor(LinuxError.Check(Libc.open(path, flags, OwnerReadWrite), $"create {path}"));
        var range = new FileLock { Type = F_WRLCK };
        // SAFETY: fcntl(2) reads a struct flock, which is a local.
        if (fcntl(fd.Value, F_OFD_SETLK, &range) < 0)
        {
            fd.Dispose();
            return null;
        }

        try
        {
            LinuxError.Check(Libc.ftruncate(fd.Value, 0), $"empty {path}");
            return new OwnedFile(fd, path);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Whether a living process holds the file.</summary>
    /// <exception cref="LinuxException">The file cannot be opened.</exception>
    public static bool IsHeld(string path)
    {
        using var fd = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC | O_NOFOLLOW, 0), $"open {path}"));
        var range = new FileLock { Type = F_WRLCK };
        // SAFETY: fcntl(2) reads and writes a struct flock, which is a local.
        LinuxError.Check(fcntl(fd.Value, F_OFD_GETLK, &range), $"ask for the lock of {path}");
        return range.Type != F_UNLCK;
    }

    /// <summary>Adds to the file.</summary>
    /// <exception cref="LinuxException">The file system is full, or fails.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int written = FileIo.Write(_fd.Value, bytes);
            bytes = written > 0 ? bytes[written..] : throw new LinuxException($"write {_path}", -written);
        }
    }

    /// <summary>Removes the file and gives the lock back.</summary>
    public void Dispose()
    {
        if (!_fd.IsClosed)
        {
            // If the file is gone already there is nothing to remove.
            _ = UnixListener.unlink(_path);
            _fd.Dispose();
        }
    }

    // fcntl is variadic in C; on x86-64 a variadic call passes pointers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, FileLock* range);
}
