using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// Locks that belong to an open file and go with it (fcntl_locking(2), flock(2)), for servers of other people's requests: every method
/// gives 0 or minus the error number, and allocates nothing. Any thread.
/// </summary>
[Abi("fcntl.h sys/file.h")]
public static unsafe partial class FileLocks
{
    public const short F_RDLCK = 0;
    public const short F_WRLCK = 1;
    public const short F_UNLCK = 2;
    private const int F_OFD_GETLK = 36;
    private const int F_OFD_SETLK = 37;
    private const int F_OFD_SETLKW = 38;
    private const int LOCK_SH = 1;
    private const int LOCK_EX = 2;
    private const int LOCK_NB = 4;
    private const int LOCK_UN = 8;

    /// <summary>
    /// Takes a wait out of the kernel. A real-time signal that neither the C library (32, 33) nor the .NET runtime (34) uses, nor who
    /// runs processors (36).
    /// </summary>
    private const int InterruptSignal = 37;

    private static readonly Lazy<bool> Interrupts = new(HandleInterrupts);

    /// <summary>Takes, changes or gives back a range of the file.</summary>
    /// <param name="type">F_RDLCK, F_WRLCK or F_UNLCK.</param>
    /// <param name="end">The last byte; <see cref="long.MaxValue"/> has no end.</param>
    /// <returns>Minus EAGAIN: another open file has it.</returns>
    public static int Set(int fd, short type, long start, long end) => Record(fd, F_OFD_SETLK, type, start, end);

    /// <summary>The same, and waits until it is free. On a thread that <see cref="Interrupt"/> knows.</summary>
    /// <returns>Minus EINTR: interrupted.</returns>
    public static int Wait(int fd, short type, long start, long end) => Record(fd, F_OFD_SETLKW, type, start, end);

    /// <summary>Who stands in the way of a lock.</summary>
    /// <param name="type">What is wanted; afterwards what is there, or F_UNLCK if nothing is in the way.</param>
    /// <param name="end">The last byte; <see cref="long.MaxValue"/> has no end.</param>
    public static int Find(int fd, ref short type, ref long start, ref long end)
    {
        FileLock range = Range(type, start, end);
        // SAFETY: fcntl(2) reads and writes a struct flock, which is a local.
        int error = Result(fcntl(fd, F_OFD_GETLK, &range));
        if (error == 0)
        {
            type = range.Type;
            start = range.Start;
            end = range.Length == 0 ? long.MaxValue : range.Start + range.Length - 1;
        }

        return error;
    }

    /// <summary>Takes, changes or gives back the whole file, as flock(2) does: such locks and those of ranges know nothing of each other.</summary>
    /// <param name="type">F_RDLCK, F_WRLCK or F_UNLCK.</param>
    /// <returns>Minus EAGAIN: another open file has it, and this one has none any more.</returns>
    public static int SetWhole(int fd, short type) => Result(flock(fd, Operation(type) | LOCK_NB));

    /// <summary>The same, and waits until it is free. On a thread that <see cref="Interrupt"/> knows.</summary>
    /// <returns>Minus EINTR: interrupted.</returns>
    public static int WaitWhole(int fd, short type) => Result(flock(fd, Operation(type)));

    /// <summary>A process that has a lock on the file with an inode number, other than this one where there is one; -1: none that this user may look at.</summary>
    public static int HolderOf(ulong inode) => LockHolders.Find(inode);

    /// <summary>Before the first wait of this process.</summary>
    /// <exception cref="LinuxException">The C library refuses the signal.</exception>
    public static void PrepareInterrupts() => _ = Interrupts.Value;

    /// <summary>Ends a wait of a thread, if it is in one at this moment; another thread may find its calls interrupted, and nothing worse.</summary>
    /// <param name="thread">The kernel's id (<see cref="NativeThread.CurrentId"/>).</param>
    public static void Interrupt(int thread) => _ = Libc.tgkill(NativeThread.ProcessId, thread, InterruptSignal);

    private static int Operation(short type) => type switch { F_RDLCK => LOCK_SH, F_WRLCK => LOCK_EX, _ => LOCK_UN };

    private static FileLock Range(short type, long start, long end) =>
        new() { Type = type, Start = start, Length = end == long.MaxValue ? 0 : end - start + 1 };

    private static int Record(int fd, int command, short type, long start, long end)
    {
        FileLock range = Range(type, start, end);
        // SAFETY: fcntl(2) reads a struct flock, which is a local.
        int error = Result(fcntl(fd, command, &range));

        // POSIX lets it say either.
        return error == -Errno.EACCES ? -Errno.EAGAIN : error;
    }

    private static int Result(int result) => result < 0 ? -LinuxError.Last : 0;

    private static bool HandleInterrupts()
    {
        // A signal that is ignored ends no wait, and a managed handler could not run wherever the signal finds the thread. A function of the
        // C library that takes a number and touches nothing can.
        nint nothing = NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "abs");
        if (Libc.signal(InterruptSignal, nothing) == -1 || siginterrupt(InterruptSignal, 1) != 0)
        {
            LinuxError.Throw("signal");
        }

        return true;
    }

    // fcntl is variadic in C; on x86-64 a variadic call passes pointers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, FileLock* range);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int fd, int operation);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int siginterrupt(int signal, int flag);
}
