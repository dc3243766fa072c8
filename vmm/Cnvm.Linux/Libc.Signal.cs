using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

// signal.h, sys/signalfd.h
[Abi("signal.h sys/signalfd.h")]
public static unsafe partial class Libc
{
    public const int SIGHUP = 1;
    public const int SIGINT = 2;
    public const int SIGQUIT = 3;
    public const int SIGUSR1 = 10;
    public const int SIGUSR2 = 12;
    public const int SIGPIPE = 13;
    public const int SIGTERM = 15;
    public const int SIGCHLD = 17;
    public const int SIGWINCH = 28;

    public const int SIG_BLOCK = 0;
    public const int SIG_UNBLOCK = 1;
    public const int SIG_SETMASK = 2;

    public const int SFD_CLOEXEC = 0x80000;
    public const int SFD_NONBLOCK = 0x800;

    /// <summary>Handler value that ignores a signal.</summary>
    public const nint SIG_IGN = 1;

    [LibraryImport(Library)]
    internal static partial int pthread_sigmask(int how, SignalSet* set, SignalSet* old);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int sigtimedwait(SignalSet* set, void* info, timespec* timeout);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint signal(int number, nint handler);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int signalfd(int fd, SignalSet* mask, int flags);

    /// <summary>Sends a signal to one thread of this process (tgkill(2)).</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial int tgkill(int process, int thread, int signal);
}
