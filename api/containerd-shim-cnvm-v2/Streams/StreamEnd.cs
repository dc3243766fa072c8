using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Streams;

/// <summary>The shim's end of a process's stdin, stdout or stderr. One reader or one writer, which is over before this is disposed.</summary>
internal sealed class StreamEnd : IDisposable
{
    private const uint FileMode = 0x1a4;
    private readonly ReadinessLoop _loop;
    private readonly FileDescriptor _fd;
    private readonly Lock _lock = new();
    private FileDescriptor? _keeper;
    private long _written;
    private long _reads;

    private StreamEnd(ReadinessLoop loop, FileDescriptor fd, FileDescriptor? keeper)
    {
        _loop = loop;
        _fd = fd;
        _keeper = keeper;
        IsFifo = keeper is not null;
    }

    /// <summary>Clients are at its other side, who may leave with what they have not read.</summary>
    public bool IsFifo { get; }

    /// <summary>Grows whenever something was written, and whenever a client was seen reading behind the end of that. Any thread.</summary>
    public long Moved => Interlocked.Read(ref _written) + Interlocked.Read(ref _reads);

    /// <summary>Opens where output goes.</summary>
    /// <param name="address">Path of a FIFO, or <c>file:///path</c> for a file that is appended to; empty for nowhere.</param>
    /// <returns>Null for nowhere.</returns>
    /// <exception cref="TtrpcException">Another kind of address, or it cannot be opened. A <see cref="LoggingProgram"/> is not opened here.</exception>
    public static StreamEnd? OpenOutput(ReadinessLoop loop, string address)
    {
        if (address.Length == 0)
        {
            return null;
        }

        if (address.Contains("://", StringComparison.Ordinal))
        {
            return Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) && uri.Scheme == Uri.UriSchemeFile && uri.LocalPath.Length > 0
                ? new StreamEnd(loop, Open(uri.LocalPath, Libc.O_WRONLY | Libc.O_CREAT | Libc.O_APPEND | Libc.O_CLOEXEC), null)
                : throw new TtrpcException(
                    TtrpcCode.InvalidArgument, $"output '{address}': this runtime writes to FIFOs, to file:///PATH and to binary:///PROGRAM, which is named by stdout and takes stderr too");
        }

        // Both ends of a FIFO: its opening waits for nobody, and the container is not killed by a pipe without reader when a client goes away.
        FileDescriptor both = Open(address, Libc.O_RDWR | Libc.O_NONBLOCK | Libc.O_CLOEXEC);
        try
        {
            // A descriptor that cannot read tells whether somebody else can, once the other one is closed.
            return FifoWatch.IsFifo(both.Value)
                ? new StreamEnd(loop, Open(address, Libc.O_WRONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC), both)
                : new StreamEnd(loop, both, null);
        }
        catch
        {
            both.Dispose();
            throw;
        }
    }

    /// <summary>Where output goes that a program of the host reads; takes its own descriptor of the pipe.</summary>
    public static StreamEnd OfPipe(ReadinessLoop loop, FileDescriptor writer)
    {
        PipePair.SetNonBlocking(writer);
        return new StreamEnd(loop, new FileDescriptor(FileDescriptor.Duplicate(writer.Value)), null);
    }

    /// <summary>Opens where input comes from.</summary>
    /// <param name="path">Of a FIFO; empty for none.</param>
    /// <returns>Null for none.</returns>
    /// <exception cref="TtrpcException">It cannot be opened.</exception>
    public static StreamEnd? OpenInput(ReadinessLoop loop, string path)
    {
        if (path.Length == 0)
        {
            return null;
        }

        FileDescriptor fd = Open(path, Libc.O_RDONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC);
        try
        {
            // Without a writer of its own the FIFO would be at its end before a client has opened it, and whenever one leaves to come back.
            return new StreamEnd(loop, fd, Open(path, Libc.O_WRONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC));
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>
    /// The stream ends with its clients: input with what they have written and still write, output with the last one that reads (from then on,
    /// writes fail). Any thread.
    /// </summary>
    public void LeaveToClients()
    {
        lock (_lock)
        {
            _keeper?.Dispose();
            _keeper = null;
        }
    }

    /// <summary>
    /// Leaves output to its clients if one of them has read some: who has read none may be about to come, as containerd's do beside the start of a
    /// process, and would find it gone. Any thread.
    /// </summary>
    /// <exception cref="LinuxException">It cannot be known.</exception>
    public void LeaveIfRead()
    {
        lock (_lock)
        {
            // In this order: what is written meanwhile must not pass for read.
            long written = Interlocked.Read(ref _written);
            if (_keeper is { } keeper && FifoWatch.Unread(keeper.Value) < written)
            {
                keeper.Dispose();
                _keeper = null;
            }
        }
    }

    /// <summary>Reads what is there, or waits for it; 0 at the end.</summary>
    /// <exception cref="LinuxException">The FIFO fails.</exception>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        while (true)
        {
            int count = FileIo.Read(_fd.Value, buffer.Span);
            if (count >= 0)
            {
                return count;
            }

            await WaitAsync(-count, forWriting: false, cancellation);
        }
    }

    /// <summary>Writes all of it, as fast as somebody reads.</summary>
    /// <exception cref="LinuxException">The FIFO or file fails: the disk is full, for example.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        while (bytes.Length > 0)
        {
            int count = FileIo.Write(_fd.Value, bytes.Span);
            if (count >= 0)
            {
                bytes = bytes[count..];
                Interlocked.Add(ref _written, count);
            }
            else
            {
                await WaitAsync(-count, forWriting: true, cancellation);
            }
        }
    }

    /// <summary>Waits until the clients have read what was written, or are gone. Nothing is written from now on.</summary>
    /// <exception cref="LinuxException">It cannot be known.</exception>
    public async Task WaitForClientsAsync(CancellationToken cancellation)
    {
        if (!IsFifo || FifoWatch.Unread(_fd.Value) == 0)
        {
            return;
        }

        using var watch = new FifoWatch(_fd.Value);
        while (true)
        {
            LeaveIfRead();
            if (!watch.HasReader() || FifoWatch.Unread(_fd.Value) == 0)
            {
                return;
            }

            await _loop.WaitAsync(watch.Fd, forWriting: false, cancellation);
            Interlocked.Increment(ref _reads);
        }
    }

    public void Dispose()
    {
        LeaveToClients();
        _fd.Dispose();
    }

    private static FileDescriptor Open(string path, int flags)
    {
        if (!Path.IsPathRooted(path))
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"stream '{path}': not an absolute path");
        }

        int fd = Libc.open(path, flags, FileMode);
        return fd >= 0
            ? new FileDescriptor(fd)
            : throw new TtrpcException(
                LinuxError.Last == Errno.ENOENT ? TtrpcCode.NotFound : TtrpcCode.Unknown, new LinuxException($"open stream {path}", LinuxError.Last).Message);
    }

    private Task WaitAsync(int error, bool forWriting, CancellationToken cancellation) =>
        error == Errno.EAGAIN ? _loop.WaitAsync(_fd.Value, forWriting, cancellation) : throw new LinuxException(forWriting ? "write to a stream" : "read from a stream", error);
}
