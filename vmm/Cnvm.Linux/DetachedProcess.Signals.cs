using System.Runtime.InteropServices;

namespace Cnvm.Linux;

// Processes by their descriptors (pidfd_open(2), pidfd_send_signal(2)).
public sealed unsafe partial class DetachedProcess
{
    private const long PidFdSendSignal = 424;

    /// <summary>A process that somebody else has started, to signal it and to poll for its end; it has no exit code for this process.</summary>
    /// <returns>Null if there is none of that number.</returns>
    public static DetachedProcess? TryOpen(int id)
    {
        long opened = syscall(PidFdOpen, id, 0);
        return opened < 0 ? null : new DetachedProcess(id, new FileDescriptor((int)opened));
    }

    /// <summary>Sends a signal; does nothing if the process has ended.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public void Signal(int signal)
    {
        // A process that nobody has waited for keeps its number, so this is never another one.
        if (syscall(PidFdSendSignal, Fd, signal, 0, 0) < 0 && LinuxError.Last != Errno.ESRCH)
        {
            LinuxError.Throw($"send signal {signal} to process {Id}");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial long syscall(long number, long first, long second, nint third, long fourth);
}
