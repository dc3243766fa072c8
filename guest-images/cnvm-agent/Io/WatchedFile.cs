using Cnvm.Linux;

namespace Cnvm.GuestAgent.Io;

/// <summary>An end of a pipe, terminal or connection that is read or written without holding a thread while it waits.</summary>
internal sealed class WatchedFile : IDisposable
{
    private readonly DescriptorWatch _watch;
    private readonly FileDescriptor _fd;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private int _isClosed;

    /// <summary>Takes ownership of the descriptor, and makes it non-blocking.</summary>
    public WatchedFile(DescriptorWatch watch, FileDescriptor fd)
    {
        _watch = watch;
        _fd = fd;
        PipePair.SetNonBlocking(fd);
    }

    /// <summary>It was closed here.</summary>
    public bool IsClosed => Volatile.Read(ref _isClosed) != 0;

    /// <summary>Reads what is there, or waits for something.</summary>
    /// <returns>0 at the end, and when the file is closed here.</returns>
    /// <exception cref="LinuxException">The file fails.</exception>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            while (!IsClosed)
            {
                int read = FileIo.Read(_fd.Value, buffer.Span);
                if (read >= 0)
                {
                    return read;
                }

                switch (-read)
                {
                    case Errno.EAGAIN:
                        await WaitAsync(Libc.EPOLLIN, cancellation).ConfigureAwait(false);
                        break;
                    case Errno.EIO or Errno.ECONNRESET:
                        // A terminal that nobody has open any more; a peer that has gone.
                        return 0;
                    default:
                        throw new LinuxException("read", -read);
                }
            }

            return 0;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Writes all of it, waiting as often as it takes.</summary>
    /// <exception cref="LinuxException">The other side is gone, or this one closed.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            while (buffer.Length > 0)
            {
                int written = IsClosed ? -Errno.EPIPE : FileIo.Write(_fd.Value, buffer.Span);
                if (written >= 0)
                {
                    buffer = buffer[written..];
                }
                else if (written == -Errno.EAGAIN)
                {
                    await WaitAsync(Libc.EPOLLOUT, cancellation).ConfigureAwait(false);
                }
                else
                {
                    throw new LinuxException("write", -written);
                }
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Closes the file once nobody uses it; waits under way end now.</summary>
    public void Dispose()
    {
        // Two readers may meet the end at once, and by the second one the number might be another file's.
        if (Interlocked.Exchange(ref _isClosed, 1) != 0)
        {
            return;
        }

        _watch.Forget(_fd.Value);
        // Who has the turn sees that it is over, and lets go.
        _ = CloseAsync();
    }

    private async Task CloseAsync()
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        _fd.Dispose();
        _turn.Release();
    }

    private async ValueTask WaitAsync(uint events, CancellationToken cancellation)
    {
        Task<bool> wait = _watch.WaitAsync(_fd.Value, events);
        if (IsClosed)
        {
            _watch.Forget(_fd.Value);
        }

        using (cancellation.UnsafeRegister(static (s, _) => ((WatchedFile)s!)._watch.Forget(((WatchedFile)s)._fd.Value), this))
        {
            await wait.ConfigureAwait(false);
        }

        cancellation.ThrowIfCancellationRequested();
    }
}
