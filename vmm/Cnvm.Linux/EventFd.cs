using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>An eventfd(2): a kernel counter that one side adds to and the other drains. Any thread may use either side.</summary>
[Abi("sys/eventfd.h")]
public sealed unsafe partial class EventFd : IDisposable
{
    private const int EFD_CLOEXEC = 0x80000;
    private const int EFD_NONBLOCK = 0x800;
    private readonly FileDescriptor _fd;

    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public EventFd() => _fd = new FileDescriptor(LinuxError.Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));

    /// <summary>The raw descriptor, for epoll, irqfd and ioeventfd; valid until this object is disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>Adds one to the counter; wakes whoever polls it.</summary>
    public void Signal()
    {
        ulong one = 1;
        // SAFETY: write(2) reads eight bytes of a local. EAGAIN means the counter is full, so the event is pending already.
        _ = Libc.write(_fd.Value, &one, sizeof(ulong));
    }

    /// <summary>Takes the counter to zero; true if it was not zero already.</summary>
    public bool Drain()
    {
        ulong count;
        // SAFETY: read(2) writes eight bytes to a local.
        return Libc.read(_fd.Value, &count, sizeof(ulong)) == sizeof(ulong);
    }

    public void Dispose() => _fd.Dispose();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint initial, int flags);
}
