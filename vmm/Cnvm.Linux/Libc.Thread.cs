using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

// unistd.h, sched.h, sys/prctl.h, pthread.h
[Abi("sys/prctl.h")]
public static unsafe partial class Libc
{
    internal const int PR_SET_NAME = 15;

    [LibraryImport(Library)]
    internal static partial int gettid();

    [LibraryImport(Library)]
    internal static partial int getpid();

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sched_setaffinity(int thread, nuint bytes, void* mask);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sched_getaffinity(int thread, nuint bytes, void* mask);

    // prctl is variadic in C; on x86-64 a variadic call passes integers and pointers as an ordinary one does.
    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int prctl(int option, string name, nuint argument3, nuint argument4, nuint argument5);

    // The pthread functions return an error number and leave errno alone.
    [LibraryImport(Library)]
    internal static partial int pthread_attr_init(pthread_attr_t* attributes);

    [LibraryImport(Library)]
    internal static partial int pthread_attr_destroy(pthread_attr_t* attributes);

    [LibraryImport(Library)]
    internal static partial int pthread_attr_setstacksize(pthread_attr_t* attributes, nuint bytes);

    [LibraryImport(Library)]
    internal static partial int pthread_setattr_default_np(pthread_attr_t* attributes);
}
