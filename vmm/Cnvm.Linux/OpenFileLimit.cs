using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>How many descriptors this process may have open (RLIMIT_NOFILE).</summary>
[Abi("sys/resource.h")]
public static unsafe partial class OpenFileLimit
{
    private const int RLIMIT_NOFILE = 7;

    /// <summary>
    /// Raises the soft limit to the hard one. The soft one is 1024 by custom, for programs that use select(2); each connection of a guest's
    /// sockets takes a descriptor.
    /// </summary>
    public static void Raise()
    {
        rlimit limit;
        // SAFETY: the C library reads and writes a local. Where it is refused, the limit stays as it was.
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max)
        {
            limit.rlim_cur = limit.rlim_max;
            _ = setrlimit(RLIMIT_NOFILE, &limit);
        }
    }

    /// <summary>Raises both limits to at least <paramref name="wanted"/>, where the process may: the hard one takes CAP_SYS_RESOURCE.</summary>
    /// <returns>The soft limit then.</returns>
    public static ulong RaiseTo(ulong wanted)
    {
        if (Current < wanted)
        {
            rlimit limit = new() { rlim_cur = wanted, rlim_max = wanted };
            // SAFETY: the C library reads a local. Where it is refused, the limit stays as it was.
            _ = setrlimit(RLIMIT_NOFILE, &limit);
        }

        return Current;
    }

    /// <summary>The soft limit now.</summary>
    public static ulong Current
    {
        get
        {
            rlimit limit;
            // SAFETY: the C library writes a local; it fails for bad arguments only.
            _ = getrlimit(RLIMIT_NOFILE, &limit);
            return limit.rlim_cur;
        }
    }

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, rlimit* limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, rlimit* limit);

    [Abi("sys/resource.h", "struct rlimit")]
    [StructLayout(LayoutKind.Sequential)]
    private struct rlimit
    {
        public ulong rlim_cur;
        public ulong rlim_max;
    }
}
