using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>ppoll(2) on one descriptor, for waits finer than a millisecond.</summary>
public static unsafe partial class TimedPoll
{
    /// <summary>Waits until the descriptor can be read. A signal may end the wait early.</summary>
    /// <param name="nanoseconds">Longest wait; negative waits for ever.</param>
    /// <returns>True when the descriptor can be read.</returns>
    public static bool WaitReadable(int fd, long nanoseconds)
    {
        PollEntry entry = new() { Fd = fd, Events = PollEntry.In };
        timespec limit = new() { tv_sec = nanoseconds / 1_000_000_000, tv_nsec = nanoseconds % 1_000_000_000 };
        // SAFETY: the kernel reads and writes locals only.
        return ppoll(&entry, 1, nanoseconds < 0 ? null : &limit, null) > 0;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ppoll(PollEntry* entries, nuint count, timespec* timeout, void* signalMask);
}
