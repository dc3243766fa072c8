namespace Cnvm.Linux;

/// <content>What a relay needs that moves bytes without copying them and never blocks.</content>
public sealed unsafe partial class UnixStream
{
    /// <summary>Connects to the socket at <paramref name="path"/> without waiting; the result does not block.</summary>
    /// <param name="error">Why not, when null: EAGAIN means that the server's backlog is full.</param>
    public static UnixStream? TryConnect(string path, out int error)
    {
        Libc.sockaddr_un address;
        uint length;
        try
        {
            address = Address(path, out length);
        }
        catch (LinuxException e)
        {
            error = e.Errno;
            return null;
        }

        int fd = Libc.socket(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0);
        // SAFETY: connect(2) reads an address of the given length, which is a local.
        if (fd >= 0 && Libc.connect(fd, &address, length) == 0)
        {
            error = 0;
            return new UnixStream(new FileDescriptor(fd));
        }

        error = LinuxError.Last;
        if (fd >= 0)
        {
            _ = Libc.close(fd);
        }

        return null;
    }

    /// <summary>Reads what is there into the vectors. Returns bytes, 0 at the end, or minus the error number. Descriptors are dropped.</summary>
    public nint Read(IoVec* vectors, int count) => ReceiveVectors(vectors, count, 0);

    /// <summary>Reads what is there and leaves it there. Returns bytes, 0 at the end, or minus the error number.</summary>
    public nint Peek(Span<byte> buffer)
    {
        fixed (byte* data = buffer)
        {
            var vector = new IoVec { Base = (nint)data, Length = (nuint)buffer.Length };
            return ReceiveVectors(&vector, 1, Libc.MSG_PEEK);
        }
    }

    /// <summary>Writes as much of the vectors as the socket takes. Returns bytes, or minus the error number (EPIPE: the peer is gone).</summary>
    public nint Write(IoVec* vectors, int count)
    {
        var message = new Libc.msghdr { msg_iov = (Libc.msg_iovec*)vectors, msg_iovlen = (nuint)count };
        nint sent;
        do
        {
            // SAFETY: the caller vouches for the vectors; IoVec and msg_iovec are both struct iovec.
            sent = Libc.sendmsg(_fd.Value, &message, Libc.MSG_NOSIGNAL);
        }
        while (sent < 0 && LinuxError.Last == Errno.EINTR);

        return sent < 0 ? -LinuxError.Last : sent;
    }

    /// <summary>Says that nothing more will be received; the peer's writes fail from now on.</summary>
    public void CloseReading() => _ = Libc.shutdown(_fd.Value, Libc.SHUT_RD);

    private nint ReceiveVectors(IoVec* vectors, int count, int flags)
    {
        var message = new Libc.msghdr { msg_iov = (Libc.msg_iovec*)vectors, msg_iovlen = (nuint)count };
        nint got;
        do
        {
            // SAFETY: the caller vouches for the vectors; IoVec and msg_iovec are both struct iovec.
            got = Libc.recvmsg(_fd.Value, &message, flags | Libc.MSG_CMSG_CLOEXEC);
        }
        while (got < 0 && LinuxError.Last == Errno.EINTR);

        return got < 0 ? -LinuxError.Last : got;
    }
}
