using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>An epoll(7) set. Any thread may change it; one thread waits.</summary>
[Abi("sys/epoll.h")]
public sealed unsafe partial class Epoll : IDisposable
{
    private const int EPOLL_CLOEXEC = 0x80000;
    private const int EPOLL_CTL_ADD = 1;
    private const int EPOLL_CTL_DEL = 2;
    private const int EPOLL_CTL_MOD = 3;

    private readonly FileDescriptor _fd = new(LinuxError.Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));

    /// <summary>Adds a descriptor, level-triggered.</summary>
    /// <exception cref="LinuxException">The descriptor cannot be polled, or is in the set already.</exception>
    public void Add(int fd, uint events, ulong token) => Control(EPOLL_CTL_ADD, fd, events, token);

    /// <summary>Changes what is wanted of a descriptor that <see cref="Add"/> added; 0 leaves errors and hang-up.</summary>
    public void Modify(int fd, uint events, ulong token) => Control(EPOLL_CTL_MOD, fd, events, token);

    /// <summary>Takes a descriptor out again.</summary>
    public void Remove(int fd) => Control(EPOLL_CTL_DEL, fd, 0, 0);

    /// <summary>Waits until something is ready.</summary>
    /// <param name="ready">Takes the ready events; at least one element.</param>
    /// <param name="timeoutMilliseconds">-1 waits for ever; 0 only looks.</param>
    /// <returns>How many elements were filled; 0 after the time or an interruption by a signal.</returns>
    public int Wait(Span<EpollEvent> ready, int timeoutMilliseconds)
    {
        fixed (EpollEvent* first = ready)
        {
            // SAFETY: the kernel writes at most ready.Length elements of the pinned span.
            int count = epoll_wait(_fd.Value, first, ready.Length, timeoutMilliseconds);
            if (count < 0)
            {
                if (LinuxError.Last != Errno.EINTR)
                {
                    LinuxError.Throw("epoll_wait");
                }

                count = 0;
            }

            return count;
        }
    }

    public void Dispose() => _fd.Dispose();

    private void Control(int operation, int fd, uint events, ulong token)
    {
        EpollEvent e = new() { Events = events, Token = token };
        // SAFETY: the kernel reads one local.
        LinuxError.Check(epoll_ctl(_fd.Value, operation, fd, &e), "epoll_ctl");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int operation, int fd, EpollEvent* e);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int epoll, EpollEvent* events, int maximum, int timeout);
}
