using System.Runtime.InteropServices;

namespace Cnvm.Linux;

// unistd.h, sched.h
public static unsafe partial class Libc
{
    [LibraryImport(Library)]
    internal static partial int gettid();

    [LibraryImport(Library)]
    internal static partial int getpid();

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sched_setaffinity(int thread, nuint bytes, void* mask);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sched_getaffinity(int thread, nuint bytes, void* mask);
}
