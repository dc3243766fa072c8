using System.Runtime.InteropServices;
using System.Text;

namespace Cnvm.Linux;

/// <summary>A connected Unix stream socket that carries bytes and descriptors. One reader and one writer at a time.</summary>
public sealed unsafe partial class UnixStream : IDisposable
{
    /// <summary>What <see cref="Receive(Span{byte}, ICollection{FileDescriptor})"/> and <see cref="Send"/> return when a non-blocking socket has to be waited for.</summary>
    public const int WouldBlock = -1;

    /// <summary>Most descriptors that one message carries.</summary>
    public const int MaxDescriptors = Libc.SCM_MAX_FD;

    private const int CmsgHeader = 16;
    private const int CmsgCapacity = (CmsgHeader + (MaxDescriptors * sizeof(int)) + 7) & ~7;
    private readonly FileDescriptor _fd;

    internal UnixStream(FileDescriptor fd) => _fd = fd;

    /// <summary>The raw descriptor, to poll; valid until this object is disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>Two ends of one connection: one that does not block, and one to hand to another program.</summary>
    /// <param name="otherBlocks">Whether the other program's end blocks.</param>
    /// <exception cref="LinuxException">The host has no descriptors left.</exception>
    public static (UnixStream Here, FileDescriptor There) Pair(bool otherBlocks)
    {
        int* fds = stackalloc int[2];
        // SAFETY: socketpair(2) writes two ints, a local.
        LinuxError.Check(Libc.socketpair(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0, fds), "socketpair");
        var here = new UnixStream(new FileDescriptor(fds[0]));
        var there = new FileDescriptor(fds[1]);
        if (otherBlocks)
        {
            int flags = LinuxError.Check(Libc.fcntl(fds[1], Libc.F_GETFL, 0), "F_GETFL");
            LinuxError.Check(Libc.fcntl(fds[1], Libc.F_SETFL, flags & ~Libc.O_NONBLOCK), "F_SETFL");
        }

        return (here, there);
    }

    /// <summary>
    /// Why there is nothing to connect to; null if a socket is there. Nobody is spoken to: who serves it may end with its first connection.
    /// </summary>
    public static string? Obstacle(string path)
    {
        int opened = Libc.open(path, FileCalls.O_PATH | Libc.O_CLOEXEC, 0);
        if (opened < 0)
        {
            int error = LinuxError.Last;
            return error == Errno.ENOENT ? $"there is no socket {path}" : new LinuxException($"open {path}", error).Message;
        }

        using var file = new FileDescriptor(opened);
        return FileStatus.Of(opened, path).IsSocket ? null : $"{path} is no socket";
    }

    /// <summary>Connects to the socket at <paramref name="path"/>; the result blocks.</summary>
    /// <exception cref="LinuxException">Nobody serves the path, or the host refuses.</exception>
    public static UnixStream Connect(string path)
    {
        Libc.sockaddr_un address = Address(path, out uint length);
        var fd = new FileDescriptor(LinuxError.Check(Libc.socket(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0), "socket"));
        // SAFETY: connect(2) reads an address of the given length, which is a local.
        if (Libc.connect(fd.Value, &address, length) < 0)
        {
            int error = LinuxError.Last;
            fd.Dispose();
            throw new LinuxException($"connect to {path}", error);
        }

        return new UnixStream(fd);
    }

    /// <summary>
    /// Connects to the socket at <paramref name="path"/>; neither this nor the result blocks. Null if nobody serves the path now, or who
    /// does has too many callers waiting.
    /// </summary>
    /// <exception cref="LinuxException">The host refuses for another reason.</exception>
    public static UnixStream? TryConnect(string path)
    {
        Libc.sockaddr_un address = Address(path, out uint length);
        var fd = new FileDescriptor(LinuxError.Check(
            Libc.socket(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0), "socket"));
        // SAFETY: connect(2) reads an address of the given length, which is a local.
        if (Libc.connect(fd.Value, &address, length) == 0)
        {
            return new UnixStream(fd);
        }

        int error = LinuxError.Last;
        fd.Dispose();
        return error is Errno.ENOENT or Errno.ECONNREFUSED or Errno.EAGAIN ? null : throw new LinuxException($"connect to {path}", error);
    }

    /// <summary>Reads what is there.</summary>
    /// <param name="buffer">Where bytes go; not empty.</param>
    /// <param name="descriptors">Descriptors that came along are added; the caller owns them.</param>
    /// <returns>Number of bytes; 0 when the peer has closed or reset the connection; or <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">The socket fails in another way.</exception>
    public int Receive(Span<byte> buffer, ICollection<FileDescriptor> descriptors) => Receive(buffer, descriptors, MaxDescriptors, out _);

    /// <inheritdoc cref="Receive(Span{byte}, ICollection{FileDescriptor})"/>
    /// <param name="limit">Descriptors that are taken at most; further ones never reach this process.</param>
    /// <param name="wereMore">There were further ones.</param>
    public int Receive(Span<byte> buffer, ICollection<FileDescriptor> descriptors, int limit, out bool wereMore)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)limit, (uint)MaxDescriptors, nameof(limit));
        byte* control = stackalloc byte[CmsgCapacity];
        fixed (byte* data = buffer)
        {
            var vector = new Libc.msg_iovec { iov_base = data, iov_len = (nuint)buffer.Length };
            var message = new Libc.msghdr { msg_iov = &vector, msg_iovlen = 1 };
            if (limit > 0)
            {
                // Without padding, which would be room for one more.
                message.msg_control = control;
                message.msg_controllen = (nuint)(CmsgHeader + (limit * sizeof(int)));
            }

            // SAFETY: the kernel writes within the pinned buffer and the control area, whose sizes it is told.
            nint count;
            do
            {
                count = Libc.recvmsg(_fd.Value, &message, Libc.MSG_CMSG_CLOEXEC);
            }
            while (count < 0 && LinuxError.Last == Errno.EINTR);

            if (count >= 0)
            {
                wereMore = (message.msg_flags & Libc.MSG_CTRUNC) != 0;
                TakeDescriptors(control, message.msg_controllen, descriptors);
                return (int)count;
            }
        }

        wereMore = false;

        return LinuxError.Last switch
        {
            Errno.EAGAIN => WouldBlock,
            Errno.ECONNRESET => 0,
            _ => throw new LinuxException("recvmsg", LinuxError.Last),
        };
    }

    /// <summary>Writes as much as the socket takes.</summary>
    /// <param name="bytes">What to send; not empty.</param>
    /// <param name="descriptors">Descriptors to send along with the first byte; at most <see cref="MaxDescriptors"/>.</param>
    /// <returns>Number of bytes; 0 when the peer is gone; or <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">The socket fails in another way.</exception>
    public int Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<int> descriptors = default)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors, nameof(descriptors));
        byte* control = stackalloc byte[CmsgCapacity];
        fixed (byte* data = bytes)
        {
            var vector = new Libc.msg_iovec { iov_base = data, iov_len = (nuint)bytes.Length };
            var message = new Libc.msghdr { msg_iov = &vector, msg_iovlen = 1 };
            if (descriptors.Length > 0)
            {
                // SAFETY: header and descriptors fit: their number was checked above.
                var header = (Libc.cmsghdr*)control;
                int length = CmsgHeader + (descriptors.Length * sizeof(int));
                *header = new Libc.cmsghdr { cmsg_len = (nuint)length, cmsg_level = Libc.SOL_SOCKET, cmsg_type = Libc.SCM_RIGHTS };
                descriptors.CopyTo(new Span<int>(control + CmsgHeader, descriptors.Length));
                message.msg_control = control;
                message.msg_controllen = (nuint)((length + 7) & ~7);
            }

            // SAFETY: the kernel reads within the pinned buffer and the control area.
            nint count;
            do
            {
                count = Libc.sendmsg(_fd.Value, &message, Libc.MSG_NOSIGNAL);
            }
            while (count < 0 && LinuxError.Last == Errno.EINTR);

            if (count >= 0)
            {
                return (int)count;
            }
        }

        return LinuxError.Last switch
        {
            Errno.EAGAIN => WouldBlock,
            Errno.EPIPE or Errno.ECONNRESET => 0,
            _ => throw new LinuxException("sendmsg", LinuxError.Last),
        };
    }

    /// <summary>Says that nothing more will be sent; receiving goes on.</summary>
    public void CloseWriting() => _ = Libc.shutdown(_fd.Value, Libc.SHUT_WR);

    /// <summary>The socket alone, as one that does not block; this object is of no use afterwards.</summary>
    internal FileDescriptor TakeNonBlocking()
    {
        int flags = LinuxError.Check(Libc.fcntl(_fd.Value, Libc.F_GETFL, 0), "fcntl");
        LinuxError.Check(Libc.fcntl(_fd.Value, Libc.F_SETFL, flags | Libc.SOCK_NONBLOCK), "fcntl");
        return _fd;
    }

    public void Dispose() => _fd.Dispose();

    /// <exception cref="LinuxException">The path is empty or too long for a socket address.</exception>
    internal static Libc.sockaddr_un Address(string path, out uint length)
    {
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes == 0 || bytes >= Libc.UnixPathCapacity || path.Contains('\0'))
        {
            throw new LinuxException(
                $"socket path '{path}': {bytes} bytes; a Unix socket's path has 1 to {Libc.UnixPathCapacity - 1}", Errno.EINVAL);
        }

        var address = new Libc.sockaddr_un { sun_family = Libc.AF_UNIX };
        // SAFETY: the text was measured above and leaves room for the null byte, which the initializer wrote.
        Encoding.UTF8.GetBytes(path, new Span<byte>(address.sun_path, Libc.UnixPathCapacity));
        length = (uint)(sizeof(ushort) + bytes + 1);
        return address;
    }

    private static void TakeDescriptors(byte* control, nuint controlLength, ICollection<FileDescriptor> descriptors)
    {
        nuint offset = 0;
        // SAFETY: the kernel wrote controlLength bytes of well-formed headers; each is checked to lie within them all the same.
        while (offset + CmsgHeader <= controlLength)
        {
            var header = (Libc.cmsghdr*)(control + offset);
            nuint length = header->cmsg_len;
            if (length < CmsgHeader || length > controlLength - offset)
            {
                return;
            }

            if (header->cmsg_level == Libc.SOL_SOCKET && header->cmsg_type == Libc.SCM_RIGHTS)
            {
                foreach (int fd in new ReadOnlySpan<int>(control + offset + CmsgHeader, (int)(length - CmsgHeader) / sizeof(int)))
                {
                    descriptors.Add(new FileDescriptor(fd));
                }
            }

            offset += (length + 7) & ~(nuint)7;
        }
    }
}
