using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Hears when somebody reads from a FIFO (inotify(7)), and when the last one that could has closed it. One thread at a time.</summary>
[Abi("sys/inotify.h sys/ioctl.h")]
public sealed unsafe partial class FifoWatch : IDisposable
{
    private const uint IN_ACCESS = 1;
    private const int IN_NONBLOCK = 0x800;
    private const int IN_CLOEXEC = 0x80000;
    private const nuint FIONREAD = 0x541b;
    private const ulong ReadToken = 0;
    private const ulong GoneToken = 1;
    private const int EventBytes = 256;
    private readonly Epoll _epoll = new();
    private readonly FileDescriptor _reads;

    /// <param name="writer">A descriptor of the FIFO that was opened for writing only; stays open as long as this is used.</param>
    /// <exception cref="LinuxException">The user's inotify instances are used up (fs.inotify.max_user_instances), or no descriptor is left.</exception>
    public FifoWatch(int writer)
    {
        try
        {
            _reads = new FileDescriptor(LinuxError.Check(inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1"));
            // By its descriptor: the name may be gone, or another file's.
            LinuxError.Check(inotify_add_watch(_reads.Value, $"/proc/self/fd/{writer}", IN_ACCESS), "watch a FIFO");
            _epoll.Add(_reads.Value, Libc.EPOLLIN, ReadToken);
            // EPOLLERR, which a FIFO without readers has, comes unasked.
            _epoll.Add(writer, 0, GoneToken);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Readable once something was read since <see cref="HasReader"/> was last asked, or nobody is left who could; valid until this object is disposed.</summary>
    public int Fd => _epoll.Fd;

    /// <summary>Whether an open file is a FIFO.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static bool IsFifo(int fd) => FileStatus.Of(fd, "a stream").IsFifo;

    /// <summary>Bytes that were written to a FIFO and not read yet.</summary>
    /// <exception cref="LinuxException">The descriptor is not open, or of something else.</exception>
    public static int Unread(int fd)
    {
        int count;
        // SAFETY: the ioctl writes one number on the stack.
        LinuxError.Check(Libc.ioctl(fd, FIONREAD, &count), "ioctl(FIONREAD)");
        return count;
    }

    /// <summary>Whether anybody has the FIFO open for reading. What was read before is forgotten, so that <see cref="Fd"/> tells of what follows.</summary>
    public bool HasReader()
    {
        Span<byte> events = stackalloc byte[EventBytes];
        int read;
        do
        {
            read = FileIo.Read(_reads.Value, events);
        }
        while (read > 0);

        Span<EpollEvent> ready = stackalloc EpollEvent[2];
        int count = _epoll.Wait(ready, 0);
        for (int i = 0; i < count; i++)
        {
            if (ready[i].Token == GoneToken)
            {
                return false;
            }
        }

        return true;
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _reads?.Dispose();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int inotify_init1(int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int inotify_add_watch(int instance, string path, uint mask);
}
