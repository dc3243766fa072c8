using Cnvm.Linux;

namespace Cnvm.GuestAgent.Io;

/// <summary>A connection as a stream for one reader and one writer at once.</summary>
internal sealed class ConnectionStream : Stream
{
    private readonly WatchedFile _reading;
    private readonly WatchedFile _writing;

    /// <summary>Takes ownership of the descriptor.</summary>
    public ConnectionStream(DescriptorWatch watch, FileDescriptor fd)
    {
        // A descriptor can be waited for in one direction at a time.
        _writing = new WatchedFile(watch, new FileDescriptor(FileDescriptor.Duplicate(fd.Value)));
        _reading = new WatchedFile(watch, fd);
    }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _reading.ReadAsync(buffer, cancellationToken);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        _writing.WriteAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Write(byte[] buffer, int offset, int count) => WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _reading.Dispose();
        _writing.Dispose();
        base.Dispose(disposing);
    }
}
