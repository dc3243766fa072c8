using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>A timerfd(2) on the monotonic clock: becomes readable once the time has passed. One thread.</summary>
[Abi("sys/timerfd.h time.h")]
public sealed unsafe partial class TimerFd : IDisposable
{
    private const int CLOCK_MONOTONIC = 1;
    private const int TFD_CLOEXEC = 0x80000;
    private const int TFD_NONBLOCK = 0x800;
    private const long NanosecondsPerSecond = 1_000_000_000;
    private readonly FileDescriptor _fd;

    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public TimerFd() => _fd = new FileDescriptor(LinuxError.Check(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create"));

    /// <summary>The raw descriptor, for epoll.</summary>
    public int Fd => _fd.Value;

    /// <summary>Fires once, so many nanoseconds from now; more than 0. An earlier time is forgotten.</summary>
    public void Set(long nanoseconds)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(nanoseconds);
        var time = new itimerspec();
        time.it_value.tv_sec = nanoseconds / NanosecondsPerSecond;
        time.it_value.tv_nsec = nanoseconds % NanosecondsPerSecond;
        // SAFETY: the kernel reads a local.
        LinuxError.Check(timerfd_settime(_fd.Value, 0, &time, null), "timerfd_settime");
    }

    /// <summary>Takes note that the time has passed; false if it has not.</summary>
    public bool Drain()
    {
        ulong count;
        // SAFETY: read(2) writes eight bytes to a local.
        return Libc.read(_fd.Value, &count, sizeof(ulong)) == sizeof(ulong);
    }

    public void Dispose() => _fd.Dispose();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int timerfd_create(int clock, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int timerfd_settime(int fd, int flags, itimerspec* time, itimerspec* old);

    [Abi("sys/timerfd.h", "struct itimerspec")]
    [StructLayout(LayoutKind.Sequential)]
    private struct itimerspec
    {
        public timespec it_interval;
        public timespec it_value;
    }
}
