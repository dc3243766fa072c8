using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>The name of a thread as the kernel and its tools show it (<c>/proc/PID/task/TID/comm</c>).</summary>
[Abi("sys/prctl.h")]
public static partial class ThreadName
{
    private const int PR_SET_NAME = 15;

    /// <summary>Names the calling thread; only the first 15 bytes count.</summary>
    public static void SetCurrent(string name) => LinuxError.Check(prctl(PR_SET_NAME, name, 0, 0, 0), "prctl(PR_SET_NAME)");

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int prctl(int option, string name, nuint arg3, nuint arg4, nuint arg5);
}
