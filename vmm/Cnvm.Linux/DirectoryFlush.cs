using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Makes names in a directory survive a power cut (fsync(2): a file's own fsync does not cover its name).</summary>
[Abi("fcntl.h unistd.h")]
public static partial class DirectoryFlush
{
    private const int O_DIRECTORY = 0x10000;

    /// <exception cref="LinuxException">The directory cannot be opened, or its file system failed.</exception>
    public static void Flush(string path)
    {
        using var fd = new FileDescriptor(LinuxError.Check(Libc.open(path, O_DIRECTORY | Libc.O_CLOEXEC, 0), $"open {path}"));
        if (fsync(fd.Value) < 0 && LinuxError.Last != Errno.EINVAL)
        {
            // EINVAL: a file system that has no use for it.
            throw new LinuxException($"fsync {path}", LinuxError.Last);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int fd);
}
