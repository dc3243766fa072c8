using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>An exclusive lock that says that a socket's path is being served. The lock file is removed when it is given back.</summary>
[Abi("fcntl.h")]
internal sealed unsafe partial class SocketLock : IDisposable
{
    private const int O_RDWR = 2;
    private const int O_CREAT = 0x40;
    private const int O_CLOEXEC = 0x80000;
    private const uint OwnerReadWrite = 0x180;
    private const int F_OFD_GETLK = 36;
    private const int F_OFD_SETLK = 37;
    private const short F_WRLCK = 1;
    private const short F_UNLCK = 2;
    private const int MaxAttempts = 100;
    private readonly FileDescriptor _fd;
    private readonly string _path;

    private SocketLock(FileDescriptor fd, string path)
    {
        _fd = fd;
        _path = path;
    }

    /// <summary>Locks <paramref name="lockPath"/>, creating it if needed; does not wait.</summary>
    /// <exception cref="LinuxException">Another process holds the lock, or the file cannot be made.</exception>
    public static SocketLock Acquire(string lockPath, string socketPath)
    {
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var fd = new FileDescriptor(LinuxError.Check(open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, OwnerReadWrite), $"create {lockPath}"));
            var range = new flock { l_type = F_WRLCK };
            // SAFETY: fcntl(2) reads a struct flock, which is a local.
            if (fcntl(fd.Value, F_OFD_SETLK, &range) < 0)
            {
                int error = LinuxError.Last;
                fd.Dispose();
                throw Held(lockPath, socketPath, error);
            }

            // The holder before may have removed the file between our open and our lock: then the lock guards nothing.
            file_status status;
            // SAFETY: fstat(2) writes a struct stat, which is a local.
            if (LinuxError.Check(fstat(fd.Value, &status), $"stat {lockPath}") == 0 && status.st_nlink > 0)
            {
                return new SocketLock(fd, lockPath);
            }

            fd.Dispose();
        }

        throw new LinuxException($"lock {lockPath}", Errno.EBUSY);
    }

    /// <summary>Throws if somebody holds the lock; nothing is made or locked.</summary>
    /// <exception cref="LinuxException">Another process holds it, or the file cannot be looked at.</exception>
    public static void ThrowIfHeld(string lockPath, string socketPath)
    {
        int opened = open(lockPath, O_RDWR | O_CLOEXEC, 0);
        if (opened < 0 && LinuxError.Last == Errno.ENOENT)
        {
            return;
        }

        using var fd = new FileDescriptor(LinuxError.Check(opened, $"open {lockPath}"));
        var range = new flock { l_type = F_WRLCK };

        // SAFETY: fcntl(2) reads and fills a struct flock, which is a local.
        LinuxError.Check(fcntl(fd.Value, F_OFD_GETLK, &range), $"look for locks of {lockPath}");
        if (range.l_type != F_UNLCK)
        {
            throw Held(lockPath, socketPath, Errno.EAGAIN);
        }
    }

    public void Dispose()
    {
        if (!_fd.IsClosed)
        {
            // Before the lock goes: whoever opens the path from now on makes a new file.
            _ = UnixListener.unlink(_path);
            _fd.Dispose();
        }
    }

    private static LinuxException Held(string lockPath, string socketPath, int error) =>
        new($"{socketPath} is served by another process (lock {lockPath})", error);

    // open and fcntl are variadic in C; on x86-64 a variadic call passes integers and pointers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, flock* range);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstat(int fd, file_status* status);

    /// <summary>struct flock: a length of 0 reaches to the end of the file.</summary>
    [Abi("fcntl.h", "struct flock")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct flock
    {
        public short l_type;
        public short l_whence;
        public long l_start;
        public long l_len;
        public int l_pid;
    }

    /// <summary>struct stat of x86-64.</summary>
    [Abi("sys/stat.h", "struct stat")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct file_status
    {
        public ulong st_dev;
        public ulong st_ino;
        public ulong st_nlink;
        [AbiField("")] public fixed byte rest[120];
    }
}
