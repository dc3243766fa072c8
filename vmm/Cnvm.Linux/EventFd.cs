using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>An eventfd(2): a kernel counter that one side adds to and the other drains. Any thread may use either side.</summary>
[Abi("sys/eventfd.h")]
public sealed unsafe partial class EventFd : IDisposable
{
    private const int EFD_CLOEXEC = 0x80000;
    private const int EFD_NONBLOCK = 0x800;
    private const int MaxLinkBytes = 64;
    private readonly FileDescriptor _fd;
    private readonly KernelSignal? _signal;

    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public EventFd() => _fd = new FileDescriptor(LinuxError.Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));

    /// <param name="isShared">
    /// Another process will have it, and may fill the counter and make the descriptor block: <see cref="Signal"/> never waits all the same.
    /// <see cref="Drain"/> would, and is not for such a one.
    /// </param>
    /// <exception cref="LinuxException">No descriptor is left, or the host's kernel cannot do that.</exception>
    public EventFd(bool isShared)
        : this()
    {
        try
        {
            _signal = isShared ? KernelSignal.Instance : null;
        }
        catch
        {
            _fd.Dispose();
            throw;
        }
    }

    private EventFd(FileDescriptor fd, KernelSignal signal)
    {
        _fd = fd;
        _signal = signal;
    }

    /// <summary>Another process has it, too: <see cref="Signal"/> never waits, and <see cref="Drain"/> might.</summary>
    public bool IsShared => _signal is not null;

    /// <summary>Takes over an eventfd that another process has sent, as one that is shared. Null, and nothing taken, if it is something else.</summary>
    /// <exception cref="LinuxException">The host's kernel has no asynchronous I/O; nothing is taken.</exception>
    public static EventFd? TryTake(FileDescriptor received)
    {
        ArgumentNullException.ThrowIfNull(received);
        ReadOnlySpan<byte> expected = "anon_inode:[eventfd]"u8;
        byte* target = stackalloc byte[MaxLinkBytes];
        // The kernel's own link: reading it asks nobody else, whatever the descriptor is.
        fixed (byte* path = System.Text.Encoding.UTF8.GetBytes($"/proc/self/fd/{received.Value}\0"))
        {
            // SAFETY: the path ends with a null byte, and the kernel writes at most as many bytes as it is told.
            int length = FileCalls.ReadLinkAt(-1, path, target, MaxLinkBytes);
            return length == expected.Length && new ReadOnlySpan<byte>(target, length).SequenceEqual(expected)
                ? new EventFd(received, KernelSignal.Instance)
                : null;
        }
    }

    /// <summary>The raw descriptor, for epoll, irqfd and ioeventfd; valid until this object is disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>Adds one to the counter; wakes whoever polls it.</summary>
    public void Signal()
    {
        if (_signal is { } signal)
        {
            signal.Send(_fd.Value);
            return;
        }

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
