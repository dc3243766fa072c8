using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Fs;

/// <content>Requests for locks that others have: their buffers stay in flight, and the queue goes on.</content>
internal sealed partial class FsWorker
{
    private const ulong LocksToken = 1;

    private readonly FuseHandler? _handler;
    private readonly EventFd? _isLockReady;
    private readonly List<FsLockWait> _waits = [];
    private readonly List<ushort> _kept = [];
    private bool _isStopping;

    /// <summary>Buffers whose requests still waited when the queue stopped. After <see cref="QueueWorker.Stop"/>.</summary>
    public IReadOnlyList<ushort> Kept => _kept;

    /// <summary>Does again what waited when the queue stopped.</summary>
    private void TakeKept()
    {
        foreach (ushort head in _kept.ToArray())
        {
            _kept.Remove(head);
            Again(head);
        }
    }

    /// <summary>Handles a buffer that was taken before.</summary>
    private void Again(ushort head)
    {
        if (_queue.TryRepeat(head, _chain))
        {
            Answer();
        }
    }

    /// <summary>Handles the chain: answers it, or has it wait.</summary>
    private void Answer()
    {
        uint written = _handle(_chain);
        if (_handler?.TakeWait() is { } wait)
        {
            wait.Head = _chain.Head;
            if (_isStopping)
            {
                wait.GiveUp();
                _kept.Add(wait.Head);
                return;
            }

            // Others need the queue's buffers as well.
            if (_waits.Count < _queue.Size / 2 && _handler.Waits.TryStart(wait, _name, _isLockReady!))
            {
                _waits.Add(wait);
                return;
            }

            wait.GiveUp();
            written = _handler.Refuse(_chain, wait.Unique, -Errno.ENOLCK);
        }

        Complete(written);
    }

    private void Complete(uint written)
    {
        _queue.Complete(_chain, written);
        if (_queue.Publish())
        {
            _resources.Interrupts.SignalQueue(_queue.Index);
        }
    }

    private void FinishWaits()
    {
        _isLockReady!.Drain();
        foreach (FsLockWait wait in _waits.FindAll(w => w.IsDone))
        {
            Finish(wait);
        }
    }

    private void Finish(FsLockWait wait)
    {
        _waits.Remove(wait);
        _handler!.Waits.Remove(wait);
        if (wait.Result == 0)
        {
            Again(wait.Head);
        }
        else if (_queue.TryRepeat(wait.Head, _chain))
        {
            Complete(_handler.Refuse(_chain, wait.Unique, wait.Result));
        }
    }

    /// <summary>What has its lock by now is answered; what has not is kept for when the queue goes on.</summary>
    private void EndWaits()
    {
        _isStopping = true;
        foreach (FsLockWait wait in _waits)
        {
            wait.End();
        }

        foreach (FsLockWait wait in _waits.ToArray())
        {
            if (wait.Result == -Errno.EINTR && !wait.IsInterrupted)
            {
                _waits.Remove(wait);
                _handler!.Waits.Remove(wait);
                _kept.Add(wait.Head);
            }
            else
            {
                Finish(wait);
            }
        }
    }
}
