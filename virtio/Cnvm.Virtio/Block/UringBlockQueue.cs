using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Requests to a file through its own io_uring.</summary>
internal sealed unsafe class UringBlockQueue : IBlockQueue
{
    private readonly DiskFile _file;
    private readonly IoUring _ring;
    private readonly Fallback[] _fallbacks;

    public UringBlockQueue(DiskFile file, int depth)
    {
        _file = file;
        _ring = new IoUring(depth);
        _fallbacks = new Fallback[depth];
        try
        {
            _ring.RegisterEventFd(Completed.Fd);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public EventFd Completed { get; } = new();

    public void Submit(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length, int token)
    {
        // The ring has as many entries as requests can be in flight; a full one means that earlier ones were not handed over.
        while (!TryQueue(operation, vectors, count, offset, length, (ulong)token))
        {
            _ring.Submit();
        }

        _fallbacks[token] = operation is BlockOperation.WriteZeroes or BlockOperation.WriteZeroesUnmap
            ? new Fallback(offset, length)
            : default;
    }

    public void Kick() => _ring.Submit();

    public bool TryComplete(out int token, out int result)
    {
        bool found = _ring.TryComplete(out ulong mark, out result);
        token = (int)mark;
        if (found && result == -Errno.EOPNOTSUPP && _fallbacks[token].Length > 0)
        {
            result = ZeroWriter.Write(_file, _fallbacks[token].Offset, _fallbacks[token].Length);
        }

        return found;
    }

    public void Wait()
    {
        _ring.Submit();
        _ring.WaitForCompletion();
    }

    public void Dispose()
    {
        _ring.Dispose();
        Completed.Dispose();
    }

    private bool TryQueue(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length, ulong token) => operation switch
    {
        BlockOperation.Read => _ring.TryQueueRead(_file.Fd, vectors, count, offset, token),
        BlockOperation.Write => _ring.TryQueueWrite(_file.Fd, vectors, count, offset, token),
        BlockOperation.Flush => _ring.TryQueueDataSync(_file.Fd, token),
        BlockOperation.WriteZeroes => _ring.TryQueueAllocate(_file.Fd, DiskFile.ZeroRange, offset, length, token),
        _ => _ring.TryQueueAllocate(_file.Fd, DiskFile.PunchHole, offset, length, token),
    };

    /// <summary>A range to be written with zeroes if the file system cannot zero it.</summary>
    private readonly record struct Fallback(ulong Offset, ulong Length);
}
