using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// A directory that belongs to this user alone, held open under an exclusive lock (flock(2)) until it is disposed: whoever changes its
/// files under this lock sees them as the one before left them.
/// </summary>
[Abi("fcntl.h sys/file.h")]
public sealed unsafe partial class PrivateDirectory : IDisposable
{
    private const int O_DIRECTORY = 0x10000;
    private const int O_NOFOLLOW = 0x20000;
    private const int LOCK_EX = 2;
    private const uint OwnerAll = 0x1c0;
    private const uint OthersAny = 0x3f;
    private readonly FileDescriptor _fd;

    private PrivateDirectory(FileDescriptor fd) => _fd = fd;

    /// <summary>The number of the user that this process acts as.</summary>
    public static uint UserId => geteuid();

    /// <summary>Opens and locks a directory; waits while another process has it locked.</summary>
    /// <param name="create">Make it, for this user only, if it does not exist.</param>
    /// <returns>Null if it does not exist and is not to be made.</returns>
    /// <exception cref="LinuxException">It is no directory, belongs to somebody else or is open to others, or cannot be made.</exception>
    public static PrivateDirectory? Open(string path, bool create)
    {
        if (create && mkdir(path, OwnerAll) < 0 && LinuxError.Last != Errno.EEXIST)
        {
            LinuxError.Throw($"make directory {path}");
        }

        int opened = Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW, 0);
        if (opened < 0 && LinuxError.Last == Errno.ENOENT && !create)
        {
            return null;
        }

        var fd = new FileDescriptor(LinuxError.Check(opened, $"open directory {path}"));
        try
        {
            FileStatus status = FileStatus.Of(fd.Value, path);
            if (status.Owner != UserId || (status.Permissions & OthersAny) != 0)
            {
                throw new LinuxException(
                    $"directory {path} must belong to the user {UserId} and be open to nobody else (chmod 700)", Errno.EACCES);
            }

            int locked;
            do
            {
                locked = flock(fd.Value, LOCK_EX);
            }
            while (locked < 0 && LinuxError.Last == Errno.EINTR);

            LinuxError.Check(locked, $"lock directory {path}");
            return new PrivateDirectory(fd);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    public void Dispose() => _fd.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdir(string path, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int fd, int operation);

    [LibraryImport("libc")]
    private static partial uint geteuid();
}
