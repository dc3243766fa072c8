using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Keeps others that ask for it out of a directory (flock(2)) until it is disposed, or the process ends.</summary>
[Abi("fcntl.h sys/file.h")]
public sealed partial class DirectoryLock : IDisposable
{
    private const int O_DIRECTORY = 0x10000;
    private const int LOCK_EX = 2;
    private const int LOCK_NB = 4;
    private readonly FileDescriptor _fd;

    private DirectoryLock(FileDescriptor fd) => _fd = fd;

    /// <returns>Null if somebody has it.</returns>
    /// <exception cref="LinuxException">The directory cannot be opened.</exception>
    public static DirectoryLock? TryTake(string path)
    {
        var fd = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | O_DIRECTORY | Libc.O_CLOEXEC, 0), $"open {path}"));

        // A file system without locks keeps nobody out, which is no reason not to use it.
        if (flock(fd.Value, LOCK_EX | LOCK_NB) < 0 && LinuxError.Last == Errno.EAGAIN)
        {
            fd.Dispose();
            return null;
        }

        return new DirectoryLock(fd);
    }

    public void Dispose() => _fd.Dispose();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int fd, int operation);
}
