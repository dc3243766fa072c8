using System.Runtime.InteropServices;

namespace Cnvm.Linux;

// poll.h
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    internal static partial int poll(PollEntry* entries, nuint count, int timeoutMilliseconds);
}
