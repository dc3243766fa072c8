namespace Cnvm.Linux;

/// <summary>An epoll(7) instance. Descriptors may be changed by any thread while one waits; <see cref="Wait"/> allocates nothing.</summary>
/// <remarks>Take a descriptor out with <see cref="Remove"/> before it is closed: a duplicate would keep it registered.</remarks>
public sealed unsafe class Epoll : IDisposable
{
    private readonly FileDescriptor _fd = new(LinuxError.Check(Libc.epoll_create1(Libc.EPOLL_CLOEXEC), "epoll_create1"));

    /// <summary>The raw descriptor; readable while an event waits, so instances nest.</summary>
    public int Fd => _fd.Value;

    /// <summary>Watches a descriptor.</summary>
    /// <param name="events">EPOLL flags of <see cref="Libc"/>.</param>
    /// <param name="token">Comes back with its events.</param>
    public void Add(int fd, uint events, ulong token) => Control(Libc.EPOLL_CTL_ADD, fd, events, token);

    public void Modify(int fd, uint events, ulong token) => Control(Libc.EPOLL_CTL_MOD, fd, events, token);

    public void Remove(int fd) => Control(Libc.EPOLL_CTL_DEL, fd, 0, 0);

    /// <summary>Waits for events; returns how many it wrote to the start of <paramref name="events"/>, 0 after the time or a signal.</summary>
    /// <param name="milliseconds">Longest wait; -1: no limit; 0: just look.</param>
    public int Wait(Span<EpollEvent> events, int milliseconds)
    {
        // SAFETY: the kernel writes at most the span's length of entries while it is pinned.
        fixed (EpollEvent* p = events)
        {
            int count = Libc.epoll_wait(_fd.Value, p, events.Length, milliseconds);
            if (count < 0)
            {
                if (LinuxError.Last != Errno.EINTR)
                {
                    LinuxError.Throw("epoll_wait");
                }

                return 0;
            }

            return count;
        }
    }

    public void Dispose() => _fd.Dispose();

    private void Control(int operation, int fd, uint events, ulong token)
    {
        var change = new EpollEvent { Events = events, Token = token };
        // SAFETY: the kernel reads a local.
        LinuxError.Check(Libc.epoll_ctl(_fd.Value, operation, fd, &change), "epoll_ctl");
    }
}
