using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Makes this process another program (execve(2)). The calling thread's credentials stay; all other threads end.</summary>
[Abi("linux/seccomp.h unistd.h")]
public static unsafe partial class ProgramImage
{
    private const long Seccomp = 317;
    private const int SECCOMP_SET_MODE_FILTER = 1;
    private const int X_OK = 1;
    private const int LastSignal = 64;

    /// <summary>Whether the calling thread's user may execute the file.</summary>
    /// <returns>0, or the error number.</returns>
    public static int MayExecute(string path) => access(path, X_OK) == 0 ? 0 : LinuxError.Last;

    /// <summary>
    /// Becomes another program, with no signal blocked or ignored. Between the filter and the program no call is made but the one.
    /// </summary>
    /// <param name="filter">Classic BPF for the thread's system calls; empty for none.</param>
    /// <param name="filterFlags">SECCOMP_FILTER_FLAG bits.</param>
    /// <returns>The error number, and whether it was the filter that was refused; there is no return otherwise.</returns>
    public static (int Error, bool IsFilter) Replace(
        string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, ReadOnlySpan<sock_filter> filter, uint filterFlags)
    {
        using var words = new DetachedProcess.NativeStrings(arguments);
        using var variables = new DetachedProcess.NativeStrings(environment);
        using var program = new DetachedProcess.NativeStrings([path]);
        for (int i = 1; i <= LastSignal; i++)
        {
            // SIGKILL and SIGSTOP, and the C library's own, refuse, and need nothing.
            _ = Libc.signal(i, 0);
        }

        SignalSet none = default;
        // SAFETY: the mask is a local; vectors and strings end with null and live until the end; the filter is pinned.
        _ = Libc.pthread_sigmask(Libc.SIG_SETMASK, &none, null);
        fixed (sock_filter* instructions = filter)
        {
            var whole = new sock_fprog { len = (ushort)filter.Length, filter = instructions };
            if (filter.Length > 0 && seccomp(Seccomp, SECCOMP_SET_MODE_FILTER, filterFlags, &whole) < 0)
            {
                return (LinuxError.Last, true);
            }

            _ = execve(program.Vector[0], words.Vector, variables.Vector);
            return (LinuxError.Last, false);
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int access(string path, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int execve(byte* path, byte** arguments, byte** environment);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long seccomp(long number, long operation, ulong flags, sock_fprog* program);

    /// <summary>struct sock_fprog.</summary>
    [Abi("linux/filter.h", "struct sock_fprog")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct sock_fprog
    {
        public ushort len;
        public sock_filter* filter;
    }
}
