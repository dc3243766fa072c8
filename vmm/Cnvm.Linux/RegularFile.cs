using Cnvm.Linux.Abi;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Linux;

/// <summary>Opens files that others name: to open a FIFO would wait for whoever writes to it, and a device has no length.</summary>
[Abi("fcntl.h")]
public static class RegularFile
{
    private const int O_NOCTTY = 0x100;

    /// <summary>Opens a file for reading. The caller owns the handle.</summary>
    /// <exception cref="LinuxException">It cannot be opened.</exception>
    /// <exception cref="IOException">It is something else than a file.</exception>
    public static SafeFileHandle OpenRead(string path)
    {
        // Without O_NONBLOCK open(2) of a FIFO waits; for files the flag means nothing.
        int fd = LinuxError.Check(Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC | Libc.O_NONBLOCK | O_NOCTTY, 0), $"open {path}");
        var file = new SafeFileHandle(fd, ownsHandle: true);
        try
        {
            return FileStatus.Of(fd, path).IsRegularFile ? file : throw new IOException($"{path} is no file");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
