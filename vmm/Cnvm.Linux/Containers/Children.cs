using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Processes that this one starts and has to wait for, and those that come to it when their parents end.</summary>
[Abi("sys/wait.h signal.h sys/prctl.h fcntl.h errno.h")]
public static unsafe partial class Children
{
    public const int SIGKILL = 9;

    /// <summary>A child is given so many descriptors at most; its program must not be found by a lower number.</summary>
    public const int MostDescriptors = 32;

    private const int P_ALL = 0;
    private const int P_PID = 1;
    private const int WEXITED = 4;
    private const int WNOWAIT = 0x1000000;
    private const int CLD_EXITED = 1;
    private const int PR_SET_CHILD_SUBREAPER = 36;
    private const int F_DUPFD_CLOEXEC = 1030;
    private const int KilledBase = 128;
    private const int ECHILD = 10;
    private const int ESRCH = 3;
    private const long PidFdGetFd = 438;

    /// <summary>Descriptors are handed to a child by way of numbers from here on, so that none is overwritten before its turn.</summary>
    private const int FirstParked = 64;

    /// <summary>Starts a program in the calling thread's namespaces, with no signal blocked, ignored or handled.</summary>
    /// <param name="path">Path of the program; PATH is not searched.</param>
    /// <param name="arguments">With the program's name first.</param>
    /// <param name="descriptors">Become 0, 1, 2 and so on there; stay the caller's. At most <see cref="MostDescriptors"/>.</param>
    /// <returns>The process's number here.</returns>
    /// <exception cref="LinuxException">The program cannot be started.</exception>
    public static int Start(string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, ReadOnlySpan<int> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MostDescriptors);
        using var words = new DetachedProcess.NativeStrings(arguments);
        using var variables = new DetachedProcess.NativeStrings(environment);
        var parked = new List<FileDescriptor>(descriptors.Length);
        DetachedProcess.posix_spawnattr_t attributes;
        DetachedProcess.posix_spawn_file_actions_t actions;
        // SAFETY: as in DetachedProcess: locals of the C library's sizes, and string vectors that live until the end of this method.
        DetachedProcess.LinuxErrorOf(DetachedProcess.posix_spawnattr_init(&attributes), "posix_spawnattr_init");
        DetachedProcess.LinuxErrorOf(DetachedProcess.posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
        try
        {
            byte* all = stackalloc byte[DetachedProcess.SignalBytes];
            byte* none = stackalloc byte[DetachedProcess.SignalBytes];
            new Span<byte>(all, DetachedProcess.SignalBytes).Fill(byte.MaxValue);
            new Span<byte>(none, DetachedProcess.SignalBytes).Clear();
            DetachedProcess.LinuxErrorOf(DetachedProcess.posix_spawnattr_setsigdefault(&attributes, all), "posix_spawnattr_setsigdefault");
            DetachedProcess.LinuxErrorOf(DetachedProcess.posix_spawnattr_setsigmask(&attributes, none), "posix_spawnattr_setsigmask");
            const short Flags = DetachedProcess.POSIX_SPAWN_SETSIGDEF | DetachedProcess.POSIX_SPAWN_SETSIGMASK;
            DetachedProcess.LinuxErrorOf(DetachedProcess.posix_spawnattr_setflags(&attributes, Flags), "posix_spawnattr_setflags");
            for (int i = 0; i < descriptors.Length; i++)
            {
                var fd = new FileDescriptor(LinuxError.Check(Libc.fcntl(descriptors[i], F_DUPFD_CLOEXEC, FirstParked), $"duplicate descriptor {descriptors[i]}"));
                parked.Add(fd);
                DetachedProcess.LinuxErrorOf(DetachedProcess.posix_spawn_file_actions_adddup2(&actions, fd.Value, i), "posix_spawn_file_actions_adddup2");
            }

            int id;
            DetachedProcess.LinuxErrorOf(
                DetachedProcess.posix_spawn(&id, path, &actions, &attributes, words.Vector, variables.Vector), $"start {path}");
            return id;
        }
        finally
        {
            _ = DetachedProcess.posix_spawn_file_actions_destroy(&actions);
            _ = DetachedProcess.posix_spawnattr_destroy(&attributes);
            parked.ForEach(fd => fd.Dispose());
        }
    }

    /// <summary>
    /// Waits until any child has ended, and leaves it a zombie, so that its number stays its own until <see cref="Forget"/>.
    /// </summary>
    /// <returns>Null if there are no children.</returns>
    public static ChildEnd? WaitForAny()
    {
        child_info info = default;
        int result;
        do
        {
            // SAFETY: waitid(2) fills a siginfo_t, of whose size the local is.
            result = waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        }
        while (result < 0 && LinuxError.Last == Errno.EINTR);

        if (result < 0)
        {
            return LinuxError.Last == ECHILD ? null : throw new LinuxException("waitid", LinuxError.Last);
        }

        return new ChildEnd(info.pid, info.code == CLD_EXITED ? info.status : KilledBase + info.status);
    }

    /// <summary>Lets a child's number go that has ended.</summary>
    /// <exception cref="LinuxException">It is no child.</exception>
    public static void Forget(int id)
    {
        child_info info;
        int result;
        do
        {
            // SAFETY: as above.
            result = waitid(P_PID, (uint)id, &info, WEXITED);
        }
        while (result < 0 && LinuxError.Last == Errno.EINTR);

        LinuxError.Check(result, $"wait for process {id}");
    }

    /// <summary>Processes whose parents end come to this one as if it were the first of its PID namespace.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void Adopt() => LinuxError.Check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)");

    /// <summary>Sends a signal.</summary>
    /// <returns>False if there is no such process.</returns>
    /// <exception cref="LinuxException">There is no such signal, or this process may not.</exception>
    public static bool Signal(int id, int signal)
    {
        int result = kill(id, signal);
        return result == 0 || (LinuxError.Last == ESRCH ? false : throw new LinuxException($"send signal {signal} to process {id}", LinuxError.Last));
    }

    /// <summary>Takes a second descriptor of a file that another process has open.</summary>
    /// <exception cref="LinuxException">It has none of that number, or this process may not trace it.</exception>
    public static FileDescriptor TakeDescriptor(int id, int number)
    {
        using var process = new FileDescriptor((int)LinuxError.Check(
            (nint)DetachedProcess.syscall(DetachedProcess.PidFdOpen, id, 0), $"pidfd_open of process {id}"));
        return new FileDescriptor((int)LinuxError.Check(
            (nint)pidfd_getfd(PidFdGetFd, process.Value, number, 0), $"take descriptor {number} of process {id}"));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int waitid(int type, uint id, child_info* info, int options);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int id, int signal);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long pidfd_getfd(long number, long process, long fd, long flags);

    /// <summary>siginfo_t as waitid(2) fills it.</summary>
    [Abi("signal.h", "siginfo_t")]
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    internal struct child_info
    {
        [FieldOffset(8)][AbiField("si_code")] public int code;
        [FieldOffset(16)][AbiField("si_pid")] public int pid;
        [FieldOffset(24)][AbiField("si_status")] public int status;
    }
}
