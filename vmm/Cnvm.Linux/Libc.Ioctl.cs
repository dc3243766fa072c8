using System.Runtime.InteropServices;

namespace Cnvm.Linux;

// sys/ioctl.h
public static unsafe partial class Libc
{
    /// <summary>ioctl(2) with a pointer argument.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, void* argument);

    /// <summary>ioctl(2) with an integer argument.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, nint argument);
}
