using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Requests to a file through <see cref="IoThreads"/>.</summary>
internal sealed unsafe class ThreadedBlockQueue : IBlockQueue
{
    private readonly DiskFile _file;
    private readonly IoThreads _threads;
    private readonly ThreadedRequest[] _requests;
    private readonly Lock _doneLock = new();

    // Submitted, not kicked: the queue's own thread alone.
    private ThreadedRequest? _firstNew;
    private ThreadedRequest? _lastNew;

    // Completed, not taken: under the lock.
    private ThreadedRequest? _firstDone;
    private ThreadedRequest? _lastDone;

    public ThreadedBlockQueue(DiskFile file, IoThreads threads, int depth)
    {
        _file = file;
        _threads = threads;
        _requests = new ThreadedRequest[depth];
        for (int i = 0; i < depth; i++)
        {
            _requests[i] = new ThreadedRequest(this, i);
        }
    }

    public EventFd Completed { get; } = new();

    public void Submit(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length, int token)
    {
        ThreadedRequest request = _requests[token];
        request.Operation = operation;
        request.Vectors = vectors;
        request.Count = count;
        request.Offset = offset;
        request.Length = length;
        request.Next = null;
        Append(ref _firstNew, ref _lastNew, request);
    }

    public void Kick()
    {
        if (_firstNew is { } first && _lastNew is { } last)
        {
            _firstNew = null;
            _lastNew = null;
            _threads.Enqueue(first, last);
        }
    }

    public bool TryComplete(out int token, out int result)
    {
        lock (_doneLock)
        {
            if (_firstDone is not { } request)
            {
                token = 0;
                result = 0;
                return false;
            }

            _firstDone = request.Next;
            if (_firstDone is null)
            {
                _lastDone = null;
            }

            request.Next = null;
            token = request.Token;
            result = request.Result;
            return true;
        }
    }

    public void Wait()
    {
        Kick();
        Span<PollEntry> wait = [new() { Fd = Completed.Fd, Events = PollEntry.In }];
        while (!HasDone())
        {
            // A completion that came after the look signals, so the wait ends.
            Poll.Wait(wait, -1);
            Completed.Drain();
        }
    }

    public void Dispose() => Completed.Dispose();

    /// <summary>Does a request, on an I/O thread.</summary>
    internal void Perform(ThreadedRequest request)
    {
        request.Result = Execute(request);
        lock (_doneLock)
        {
            Append(ref _firstDone, ref _lastDone, request);

            // Inside the lock: once the last completion can be taken, the owner may dispose the event.
            Completed.Signal();
        }
    }

    private bool HasDone()
    {
        lock (_doneLock)
        {
            return _firstDone is not null;
        }
    }

    private static void Append(ref ThreadedRequest? first, ref ThreadedRequest? last, ThreadedRequest request)
    {
        if (last is null)
        {
            first = request;
        }
        else
        {
            last.Next = request;
        }

        last = request;
    }

    private int Execute(ThreadedRequest request)
    {
        switch (request.Operation)
        {
            case BlockOperation.Read:
                return (int)_file.Read(request.Vectors, request.Count, request.Offset);
            case BlockOperation.Write:
                return (int)_file.Write(request.Vectors, request.Count, request.Offset);
            case BlockOperation.Flush:
                return _file.DataSync();
            case BlockOperation.WriteZeroes or BlockOperation.WriteZeroesUnmap:
                int mode = request.Operation == BlockOperation.WriteZeroes ? DiskFile.ZeroRange : DiskFile.PunchHole;
                int result = _file.Allocate(mode, request.Offset, request.Length);
                return result == -Errno.EOPNOTSUPP ? ZeroWriter.Write(_file, request.Offset, request.Length) : result;
            default:
                return _file.Allocate(DiskFile.PunchHole, request.Offset, request.Length);
        }
    }
}
