using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>ppoll(2) on one descriptor, for waits finer than a millisecond.</summary>
public static unsafe partial class TimedPoll
{
    private const short POLLIN = 1;

    /// <summary>Waits until the descriptor can be read. A signal may end the wait early.</summary>
    /// <param name="nanoseconds">Longest wait; negative waits for ever.</param>
    /// <returns>True when the descriptor can be read.</returns>
    public static bool WaitReadable(int fd, long nanoseconds)
    {
        PollFd entry = new() { Fd = fd, Events = POLLIN };
        Timespec limit = new() { Seconds = nanoseconds / 1_000_000_000, Nanoseconds = nanoseconds % 1_000_000_000 };
        // SAFETY: the kernel reads and writes locals only.
        return ppoll(&entry, 1, nanoseconds < 0 ? null : &limit, null) > 0;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ppoll(PollFd* entries, nuint count, Timespec* timeout, void* signalMask);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
