using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>
/// A connected stream socket, TCP or Unix, whose reads and writes are bounded in time. One reader and one writer.
/// </summary>
public sealed unsafe partial class SocketStream : SpanStream
{
    /// <summary>How long a wait lasts before it looks whether it has been given up.</summary>
    private const int SliceMilliseconds = 200;

    private readonly FileDescriptor _fd;
    private volatile bool _isAborted;
    private long _heardAt = Environment.TickCount64;
    private long _readDeadline = long.MaxValue;

    /// <param name="isUnix">It can carry descriptors.</param>
    internal SocketStream(FileDescriptor fd, bool isUnix = false)
    {
        _fd = fd;
        _unix = isUnix ? new UnixStream(fd) : null;
    }

    /// <summary>Longest time without a byte, in milliseconds.</summary>
    public override int ReadTimeout { get; set; } = 60_000;

    /// <summary>
    /// When all reading has to be done, however the peer spreads its bytes, in milliseconds of <see cref="Environment.TickCount64"/>. Any
    /// thread; a read that waits for the peer looks several times a second.
    /// </summary>
    public long ReadDeadline
    {
        get => Volatile.Read(ref _readDeadline);
        set => Volatile.Write(ref _readDeadline, value);
    }

    /// <summary>Longest time in which the peer takes no byte, in milliseconds.</summary>
    public override int WriteTimeout { get; set; } = 60_000;

    /// <summary>The peer has sent something, or closed.</summary>
    public bool HasInput => Poll.Wait([new PollEntry { Fd = _fd.Value, Events = PollEntry.In }], 0) > 0;

    /// <summary>Asked several times a second while the peer takes nothing; true ends the write.</summary>
    public Func<bool>? IsWriteGivenUp { get; set; }

    /// <summary>Asked several times a second while the peer sends nothing; true, or an exception, ends the read.</summary>
    public Func<bool>? IsReadGivenUp { get; set; }

    /// <summary>When the last bytes came, or else the connection was made, in milliseconds of <see cref="Environment.TickCount64"/>. Any thread.</summary>
    public long HeardAt => Volatile.Read(ref _heardAt);

    /// <summary>Connects.</summary>
    /// <param name="timeoutMilliseconds">For each address that the name has.</param>
    /// <param name="isGivenUp">Asked several times a second; true ends the attempt.</param>
    /// <exception cref="LinuxException">Nobody serves the endpoint, or the host refuses.</exception>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    public static SocketStream Connect(StreamEndpoint endpoint, int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        ArgumentNullException.ThrowIfNull(isGivenUp);
        if (endpoint.Path is { } path)
        {
            return ConnectTo(path, timeoutMilliseconds, isGivenUp);
        }

        LinuxException? failure = null;
        Libc.addrinfo* list = Resolve(endpoint, passive: false);
        try
        {
            for (Libc.addrinfo* a = list; a != null; a = a->ai_next)
            {
                try
                {
                    return ConnectTo(a, endpoint, timeoutMilliseconds, isGivenUp);
                }
                catch (LinuxException e)
                {
                    failure = e;
                }
            }
        }
        finally
        {
            Libc.freeaddrinfo(list);
        }

        throw failure ?? new LinuxException($"connect to {endpoint}", Errno.ENOENT);
    }

    /// <summary>Ends all reads and writes, those under way too. Any thread.</summary>
    public void Abort()
    {
        _isAborted = true;
        Shut(Libc.SHUT_RDWR);
    }

    /// <summary>
    /// Takes nothing more: reads end, those under way too, and the peer's writes fail. What is written still arrives, and the peer does not
    /// see the connection closed. Any thread. Unix sockets; of others the peer notices nothing.
    /// </summary>
    public void CloseReading() => Shut(Libc.SHUT_RD);

    /// <summary>Reads, and forgets, until the peer has closed or is gone.</summary>
    /// <param name="isGivenUp">Asked several times a second.</param>
    /// <returns>False if it has not by the time, or this side has ended the connection itself.</returns>
    public bool WaitForClose(TimeSpan time, Func<bool> isGivenUp)
    {
        ArgumentNullException.ThrowIfNull(isGivenUp);
        Span<byte> rest = stackalloc byte[4096];
        long started = Stopwatch.GetTimestamp();
        while (!_isAborted && !isGivenUp() && Stopwatch.GetElapsedTime(started) < time)
        {
            if (Poll.Wait([new PollEntry { Fd = _fd.Value, Events = PollEntry.In }], SliceMilliseconds) > 0 && Read(rest) == 0)
            {
                return !_isAborted;
            }
        }

        return false;
    }

    /// <summary>Says that nothing more will be sent; receiving goes on.</summary>
    public void CloseWriting() => _ = Libc.shutdown(_fd.Value, Libc.SHUT_WR);

    public override int Read(Span<byte> buffer)
    {
        while (true)
        {
            nint count;
            if (_received is not null)
            {
                count = ReceiveWithDescriptors(buffer);
            }
            else
            {
                fixed (byte* p = buffer)
                {
                    // SAFETY: the kernel writes within the pinned buffer.
                    count = Libc.read(_fd.Value, p, (nuint)buffer.Length);
                }
            }

            if (count > 0)
            {
                Volatile.Write(ref _heardAt, Environment.TickCount64);
            }

            if (count >= 0)
            {
                return (int)count;
            }

            switch (LinuxError.Last)
            {
                case Errno.EAGAIN:
                    WaitFor(PollEntry.In, ReadTimeout, "read: the peer sends nothing");
                    break;
                case Errno.EINTR:
                    break;
                case Errno.ECONNRESET:
                    return 0;
                default:
                    LinuxError.Throw("read from the peer");
                    break;
            }
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        buffer = buffer[SendAttached(buffer)..];
        while (buffer.Length > 0)
        {
            nint count;
            fixed (byte* p = buffer)
            {
                var vector = new Libc.msg_iovec { iov_base = p, iov_len = (nuint)buffer.Length };
                var message = new Libc.msghdr { msg_iov = &vector, msg_iovlen = 1 };

                // SAFETY: the kernel reads within the pinned buffer; the message and its vector are locals.
                count = Libc.sendmsg(_fd.Value, &message, Libc.MSG_NOSIGNAL);
            }

            if (count >= 0)
            {
                buffer = buffer[(int)count..];
            }
            else if (LinuxError.Last == Errno.EAGAIN)
            {
                WaitFor(PollEntry.Out, WriteTimeout, "write: the peer takes nothing");
            }
            else if (LinuxError.Last != Errno.EINTR)
            {
                LinuxError.Throw("write to the peer");
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        _fd.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Addresses of an endpoint; free them.</summary>
    /// <exception cref="LinuxException">The name is not known.</exception>
    internal static Libc.addrinfo* Resolve(StreamEndpoint endpoint, bool passive)
    {
        var hints = new Libc.addrinfo { ai_socktype = Libc.SOCK_STREAM, ai_protocol = Libc.IPPROTO_TCP, ai_flags = passive ? Libc.AI_PASSIVE : 0 };
        Libc.addrinfo* list;

        // SAFETY: both structs are locals; the result is freed by the caller.
        int error = Libc.getaddrinfo(endpoint.Host, endpoint.Port.ToString(CultureInfo.InvariantCulture), &hints, &list);
        return error == 0
            ? list
            : throw new LinuxException($"{endpoint}: {Marshal.PtrToStringUTF8((nint)Libc.gai_strerror(error))}", Errno.ENOENT);
    }

    /// <summary>Dead peers are noticed, and small messages leave at once.</summary>
    internal static void TuneTcp(int fd)
    {
        const int IdleSeconds = 10;
        const int UserTimeoutMilliseconds = 60_000;
        SetOption(fd, Libc.IPPROTO_TCP, Libc.TCP_NODELAY, 1);
        SetOption(fd, Libc.SOL_SOCKET, Libc.SO_KEEPALIVE, 1);
        SetOption(fd, Libc.IPPROTO_TCP, Libc.TCP_KEEPIDLE, IdleSeconds);
        SetOption(fd, Libc.IPPROTO_TCP, Libc.TCP_KEEPINTVL, IdleSeconds);
        SetOption(fd, Libc.IPPROTO_TCP, Libc.TCP_KEEPCNT, 4);
        SetOption(fd, Libc.IPPROTO_TCP, Libc.TCP_USER_TIMEOUT, UserTimeoutMilliseconds);
    }

    // SAFETY: the kernel reads four bytes of a local.
    internal static void SetOption(int fd, int level, int name, int value) =>
        LinuxError.Check(Libc.setsockopt(fd, level, name, &value, sizeof(int)), "setsockopt");

    private static SocketStream ConnectTo(string path, int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            if (UnixStream.TryConnect(path, out int error) is { } stream)
            {
                return new SocketStream(stream.TakeNonBlocking(), isUnix: true);
            }

            // Too many are waiting to be accepted: nothing says when there is room again (connect(2)).
            if (error != Errno.EAGAIN || Stopwatch.GetElapsedTime(started).TotalMilliseconds > timeoutMilliseconds)
            {
                throw new LinuxException($"connect to {path}", error == Errno.EAGAIN ? Errno.ETIMEDOUT : error);
            }

            if (isGivenUp())
            {
                throw new OperationCanceledException();
            }

            _ = Poll.Wait([], SliceMilliseconds);
        }
    }

    private static SocketStream ConnectTo(Libc.addrinfo* address, StreamEndpoint endpoint, int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        var fd = new FileDescriptor(LinuxError.Check(
            Libc.socket(address->ai_family, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0), "socket"));
        try
        {
            // SAFETY: connect(2) reads the address that the resolver made, with its length.
            if (Libc.connect_any(fd.Value, address->ai_addr, address->ai_addrlen) < 0)
            {
                if (LinuxError.Last != Errno.EINPROGRESS)
                {
                    LinuxError.Throw($"connect to {endpoint}");
                }

                WaitForConnection(fd.Value, endpoint, timeoutMilliseconds, isGivenUp);
            }

            TuneTcp(fd.Value);
            return new SocketStream(fd);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    private static void WaitForConnection(int fd, StreamEndpoint endpoint, int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        long started = Stopwatch.GetTimestamp();
        while (Poll.Wait([new PollEntry { Fd = fd, Events = PollEntry.Out }], SliceMilliseconds) == 0)
        {
            if (isGivenUp())
            {
                throw new OperationCanceledException();
            }

            if (Stopwatch.GetElapsedTime(started).TotalMilliseconds > timeoutMilliseconds)
            {
                throw new LinuxException($"connect to {endpoint}", Errno.ETIMEDOUT);
            }
        }

        int error;
        uint length = sizeof(int);

        // SAFETY: the kernel writes four bytes to a local.
        LinuxError.Check(Libc.getsockopt(fd, Libc.SOL_SOCKET, Libc.SO_ERROR, &error, &length), "getsockopt");
        if (error != 0)
        {
            throw new LinuxException($"connect to {endpoint}", error);
        }
    }

    private void WaitFor(short events, int timeoutMilliseconds, string what)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            // Asked before too: a peer that spreads its bytes never keeps a wait waiting.
            if (events == PollEntry.In && Environment.TickCount64 > ReadDeadline)
            {
                throw new LinuxException(what, Errno.ETIMEDOUT);
            }

            if (Poll.Wait([new PollEntry { Fd = _fd.Value, Events = events }], SliceMilliseconds) != 0)
            {
                break;
            }

            ThrowIfAborted();
            if ((events == PollEntry.Out ? IsWriteGivenUp : IsReadGivenUp)?.Invoke() is true)
            {
                ThrowAborted();
            }

            if (timeoutMilliseconds >= 0 && Stopwatch.GetElapsedTime(started).TotalMilliseconds > timeoutMilliseconds)
            {
                throw new LinuxException(what, Errno.ETIMEDOUT);
            }
        }

        ThrowIfAborted();
    }

    private void Shut(int how)
    {
        bool isHeld = false;
        try
        {
            // Whoever closes it now waits for this, or its number might be another file's by then.
            _fd.DangerousAddRef(ref isHeld);
            _ = Libc.shutdown(_fd.Value, how);
        }
        catch (ObjectDisposedException)
        {
            // Closed already.
            return;
        }
        finally
        {
            if (isHeld)
            {
                _fd.DangerousRelease();
            }
        }
    }

    private void ThrowIfAborted()
    {
        if (_isAborted)
        {
            ThrowAborted();
        }
    }

    [DoesNotReturn]
    private static void ThrowAborted() => throw new LinuxException("the connection was given up", Errno.EPIPE);
}
