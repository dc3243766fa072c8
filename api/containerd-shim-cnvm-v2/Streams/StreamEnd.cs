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

    private StreamEnd(ReadinessLoop loop, FileDescriptor fd, FileDescriptor? keeper)
    {
        _loop = loop;
        _fd = fd;
        _keeper = keeper;
    }

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

        string path = address;
        // Both ends of a FIFO: its opening waits for nobody, and the container is not killed by a pipe without reader when a client goes away.
        int flags = Libc.O_RDWR | Libc.O_NONBLOCK | Libc.O_CLOEXEC;
        if (address.Contains("://", StringComparison.Ordinal))
        {
            if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) || uri.Scheme != Uri.UriSchemeFile || uri.LocalPath.Length == 0)
            {
                throw new TtrpcException(
                    TtrpcCode.InvalidArgument, $"output '{address}': this runtime writes to FIFOs, to file:///PATH and to binary:///PROGRAM, which is named by stdout and takes stderr too");
            }

            path = uri.LocalPath;
            flags = Libc.O_WRONLY | Libc.O_CREAT | Libc.O_APPEND | Libc.O_CLOEXEC;
        }

        return new StreamEnd(loop, Open(path, flags), null);
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

    /// <summary>The input ends with what its clients have written and still write. Any thread.</summary>
    public void EndInput()
    {
        lock (_lock)
        {
            _keeper?.Dispose();
            _keeper = null;
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
            }
            else
            {
                await WaitAsync(-count, forWriting: true, cancellation);
            }
        }
    }

    public void Dispose()
    {
        EndInput();
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
