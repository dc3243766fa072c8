using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>A pipe, or two ends of a terminal: what is written to one end is read at the other. Whoever makes it owns both.</summary>
/// <param name="Reader">Blocks, until told otherwise.</param>
/// <param name="Writer">Blocks, until told otherwise.</param>
public sealed unsafe partial record PipePair(FileDescriptor Reader, FileDescriptor Writer) : IDisposable
{
    /// <exception cref="LinuxException">No descriptors are left.</exception>
    public static PipePair Create()
    {
        int* ends = stackalloc int[2];
        // SAFETY: the kernel fills two numbers.
        LinuxError.Check(pipe2(ends, Libc.O_CLOEXEC), "pipe2");
        return new PipePair(new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
    }

    /// <summary>Makes reads and writes of an open file come back with EAGAIN instead of waiting.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static void SetNonBlocking(FileDescriptor fd)
    {
        ArgumentNullException.ThrowIfNull(fd);
        int flags = LinuxError.Check(Libc.fcntl(fd.Value, Libc.F_GETFL, 0), "fcntl(F_GETFL)");
        LinuxError.Check(Libc.fcntl(fd.Value, Libc.F_SETFL, flags | Libc.O_NONBLOCK), "fcntl(F_SETFL)");
    }

    public void Dispose()
    {
        Reader.Dispose();
        Writer.Dispose();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int pipe2(int* ends, int flags);
}
