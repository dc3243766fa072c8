namespace Cnvm.Linux;

/// <summary>Listens at an endpoint. One thread accepts; any thread may <see cref="GiveUp"/>.</summary>
public sealed unsafe class StreamListener : IDisposable
{
    private const int Backlog = 16;
    private readonly FileDescriptor? _tcp;
    private readonly UnixListener? _unix;
    private readonly EventFd _givenUp = new();
    private volatile bool _isGivenUp;

    private StreamListener(FileDescriptor? tcp, UnixListener? unix)
    {
        _tcp = tcp;
        _unix = unix;
    }

    /// <exception cref="LinuxException">The endpoint is taken, not known or not allowed.</exception>
    public static StreamListener Bind(StreamEndpoint endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        if (endpoint.Path is { } path)
        {
            return new StreamListener(null, UnixListener.Bind(path, Backlog));
        }

        Libc.addrinfo* list = SocketStream.Resolve(endpoint, passive: true);
        FileDescriptor? fd = null;
        try
        {
            fd = new FileDescriptor(LinuxError.Check(
                Libc.socket(list->ai_family, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0), "socket"));
            SocketStream.SetOption(fd.Value, Libc.SOL_SOCKET, Libc.SO_REUSEADDR, 1);

            // SAFETY: bind(2) reads the address that the resolver made, with its length.
            LinuxError.Check(Libc.bind_any(fd.Value, list->ai_addr, list->ai_addrlen), $"bind {endpoint}");
            LinuxError.Check(Libc.listen(fd.Value, Backlog), $"listen on {endpoint}");
            return new StreamListener(fd, null);
        }
        catch
        {
            fd?.Dispose();
            throw;
        }
        finally
        {
            Libc.freeaddrinfo(list);
        }
    }

    /// <summary>Nobody comes any more. Any thread.</summary>
    public bool IsGivenUp => _isGivenUp;

    /// <summary>Waits for a connection.</summary>
    /// <param name="timeoutMilliseconds">-1 for as long as it takes.</param>
    /// <returns>Null after the time, or when it was given up.</returns>
    /// <exception cref="LinuxException">No descriptor is left, or the host refuses for another reason.</exception>
    public SocketStream? Accept(int timeoutMilliseconds)
    {
        Span<PollEntry> entries =
        [
            new PollEntry { Fd = _unix?.Fd ?? _tcp!.Value, Events = PollEntry.In },
            new PollEntry { Fd = _givenUp.Fd, Events = PollEntry.In },
        ];
        while (Poll.Wait(entries, timeoutMilliseconds) > 0 && entries[1].Returned == 0)
        {
            if (_unix is not null)
            {
                if (_unix.Accept() is { } stream)
                {
                    return new SocketStream(stream.TakeNonBlocking(), isUnix: true);
                }

                continue;
            }

            // SAFETY: the peer's address is not asked for.
            int fd = Libc.accept4(_tcp!.Value, null, null, Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK);
            if (fd >= 0)
            {
                var owned = new FileDescriptor(fd);
                SocketStream.TuneTcp(owned.Value);
                return new SocketStream(owned);
            }

            // The connection went away while it waited; anything else is the host's trouble.
            if (LinuxError.Last is not (Errno.EAGAIN or Errno.EINTR or Errno.ECONNABORTED))
            {
                LinuxError.Throw("accept");
            }
        }

        return null;
    }

    /// <summary>Ends the wait for a connection, for good. Any thread.</summary>
    public void GiveUp()
    {
        _isGivenUp = true;
        _givenUp.Signal();
    }

    public void Dispose()
    {
        _tcp?.Dispose();
        _unix?.Dispose();
        _givenUp.Dispose();
    }
}
