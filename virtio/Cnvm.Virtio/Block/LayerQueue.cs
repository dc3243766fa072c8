using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Requests to an image whose tables say where its data lies: each is done when it is submitted, on the submitter's thread.</summary>
internal sealed unsafe class LayerQueue : IBlockQueue
{
    /// <summary>Bytes that one step moves at most.</summary>
    private const ulong MaxStep = 1024 * 1024 * 1024;

    private readonly IImageLayer _layer;
    private readonly (int Token, int Result)[] _done;
    private int _first;
    private int _count;

    public LayerQueue(IImageLayer layer, int depth)
    {
        _layer = layer;
        _done = new (int, int)[depth];
    }

    // Never signalled: who submits finds the completion at once.
    public EventFd Completed { get; } = new();

    public void Submit(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length, int token)
    {
        int result = Execute(operation, vectors, count, offset, length);
        int last = _first + _count;
        _done[last < _done.Length ? last : last - _done.Length] = (token, result);
        _count++;
    }

    public void Kick()
    {
    }

    public bool TryComplete(out int token, out int result)
    {
        if (_count == 0)
        {
            token = 0;
            result = 0;
            return false;
        }

        (token, result) = _done[_first];
        _first = _first + 1 == _done.Length ? 0 : _first + 1;
        _count--;
        return true;
    }

    public void Wait()
    {
    }

    /// <summary>Ends the queue: the machine is paused, say, and somebody may want the file as it is.</summary>
    public void Dispose()
    {
        // What cannot be written stays in memory and is tried again; the guest learns of it with its next flush.
        _ = _layer.Flush(settle: true);
        Completed.Dispose();
    }

    private int Execute(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length)
    {
        switch (operation)
        {
            case BlockOperation.Read:
            case BlockOperation.Write:
                length = Math.Min(length, MaxStep);
                VectorCursor cursor = new(vectors, count);
                int result = operation == BlockOperation.Read
                    ? _layer.Read(ref cursor, offset, length)
                    : _layer.Write(ref cursor, offset, length);
                return result < 0 ? result : (int)length;
            case BlockOperation.Flush:
                return _layer.Flush(settle: false);
            case BlockOperation.Discard:
                return _layer.Discard(offset, length);
            default:
                return _layer.WriteZeroes(offset, length, operation == BlockOperation.WriteZeroesUnmap);
        }
    }
}
