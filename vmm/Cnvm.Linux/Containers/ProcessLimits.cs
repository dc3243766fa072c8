using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Resource limits of this process (setrlimit(2)).</summary>
public static unsafe partial class ProcessLimits
{
    /// <param name="resource">RLIMIT_ number.</param>
    /// <exception cref="LinuxException">The soft limit is above the hard one, or the process may not.</exception>
    public static void Set(int resource, ulong soft, ulong hard)
    {
        rlimit64 limit = new() { rlim_cur = soft, rlim_max = hard };
        // SAFETY: the kernel reads a local.
        LinuxError.Check(setrlimit64(resource, &limit), $"setrlimit {resource}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setrlimit64(int resource, rlimit64* limit);

    /// <summary>struct rlimit64.</summary>
    [Abi("sys/resource.h", "struct rlimit64")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct rlimit64
    {
        public ulong rlim_cur;
        public ulong rlim_max;
    }
}
