using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

// unistd.h, sched.h, sys/prctl.h
[Abi("sys/prctl.h")]
public static unsafe partial class Libc
{
    public const int PR_SET_NAME = 15;

    [LibraryImport(Library)]
    internal static partial int gettid();

    [LibraryImport(Library)]
    internal static partial int getpid();

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int prctl(int option, nint argument2, nint argument3, nint argument4, nint argument5);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sched_setaffinity(int thread, nuint bytes, void* mask);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sched_getaffinity(int thread, nuint bytes, void* mask);
}
