using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>A new pseudo-terminal of a container's own devpts, and what a process does to have it.</summary>
[Abi("sys/ioctl.h unistd.h fcntl.h linux/close_range.h")]
public static unsafe partial class ContainerTerminal
{
    private const nuint TIOCSCTTY = 0x540e;
    private const int O_NOCTTY = 0x100;
    private const uint CLOSE_RANGE_CLOEXEC = 4;
    private const long CloseRange = 436;

    /// <param name="multiplexer">The devpts's <c>ptmx</c>.</param>
    /// <returns>The controlling side as the reader, the side of programs as the writer.</returns>
    /// <exception cref="LinuxException">There is no devpts, or no terminal is left.</exception>
    public static PipePair Open(string multiplexer)
    {
        var controller = new FileDescriptor(LinuxError.Check(
            Libc.open(multiplexer, Libc.O_RDWR | O_NOCTTY | Libc.O_CLOEXEC, 0), $"open {multiplexer} (a terminal needs a devpts mount at /dev/pts)"));
        try
        {
            int unlock = 0;
            // SAFETY: reads one int on the stack (ioctl_tty(2)).
            LinuxError.Check(Libc.ioctl_tty(controller.Value, Libc.TIOCSPTLCK, &unlock), "ioctl TIOCSPTLCK");
            // SAFETY: the argument of TIOCGPTPEER is a flag word, not an address.
            int peer = Libc.ioctl_tty(controller.Value, Libc.TIOCGPTPEER, (void*)(Libc.O_RDWR | O_NOCTTY | Libc.O_CLOEXEC));
            return new PipePair(controller, new FileDescriptor(LinuxError.Check(peer, "ioctl TIOCGPTPEER")));
        }
        catch
        {
            controller.Dispose();
            throw;
        }
    }

    /// <summary>Makes this process the leader of a new session.</summary>
    /// <exception cref="LinuxException">It leads a process group already.</exception>
    public static void BeginSession() => LinuxError.Check(setsid(), "setsid");

    /// <summary>Makes a terminal this session's, and the process's input, output and errors.</summary>
    /// <exception cref="LinuxException">It is another session's.</exception>
    public static void Take(FileDescriptor terminal)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        LinuxError.Check(Libc.ioctl(terminal.Value, TIOCSCTTY, (nint)0), "ioctl TIOCSCTTY");
        for (int fd = 0; fd <= 2; fd++)
        {
            LinuxError.Check(dup2(terminal.Value, fd), "dup2");
        }
    }

    /// <summary>Gives an open file another owner; its group stays.</summary>
    /// <returns>0, or the error number.</returns>
    public static int GiveTo(int fd, uint user) => fchown(fd, user, uint.MaxValue) == 0 ? 0 : LinuxError.Last;

    /// <summary>No descriptor from <paramref name="first"/> on outlives the next program.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void CloseOnExecFrom(int first) =>
        LinuxError.Check((nint)close_range(CloseRange, first, int.MaxValue, CLOSE_RANGE_CLOEXEC), "close_range");

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsid();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(int from, int to);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchown(int fd, uint user, uint group);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long close_range(long number, long first, long last, long flags);
}
