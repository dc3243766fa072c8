using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// Waits for a lock on a thread of its own, in the host's kernel: whoever has it may be any process, and nothing else tells when it is free.
/// What it gets belongs to the descriptor, so that the request finds it when it is made again. Any thread, but for what belongs to the queue.
/// </summary>
internal sealed class FsLockWait
{
    private const int StackBytes = 128 * 1024;
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(1);

    private readonly FileDescriptor _descriptor;
    private readonly FsLockRange _range;
    private readonly bool _isWhole;
    private Thread? _thread;
    private EventFd? _ready;
    private int _threadId;
    private volatile bool _isEnding;
    private volatile bool _isInterrupted;
    private volatile bool _isDone;

    /// <param name="descriptor">Stays open until the wait is over, or given up.</param>
    public FsLockWait(FileDescriptor descriptor, in FsLockRange range, bool isWhole)
    {
        bool held = false;
        descriptor.DangerousAddRef(ref held);
        _descriptor = descriptor;
        _range = range;
        _isWhole = isWhole;
    }

    /// <summary>The request's number.</summary>
    public ulong Unique { get; set; }

    /// <summary>First descriptor of the request's buffer. The queue's.</summary>
    public ushort Head { get; set; }

    /// <summary>It has ended, and <see cref="Result"/> says how.</summary>
    public bool IsDone => _isDone;

    /// <summary>The driver has asked for its end.</summary>
    public bool IsInterrupted => _isInterrupted;

    /// <summary>0: it is to be had. Otherwise minus the error number: EINTR if it was ended.</summary>
    public int Result { get; private set; }

    /// <param name="name">Name of the thread.</param>
    /// <param name="ready">Signalled at the end.</param>
    public void Start(string name, EventFd ready)
    {
        _ready = ready;
        _thread = new Thread(Run, StackBytes) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Ends it before anything has started it.</summary>
    public void GiveUp() => _descriptor.DangerousRelease();

    /// <summary>Ends it for the driver.</summary>
    public void Interrupt()
    {
        _isInterrupted = true;
        End();
    }

    /// <summary>Ends it, and waits for that: a moment, unless the file system is one whose server does not answer.</summary>
    public void End()
    {
        _isEnding = true;
        do
        {
            // Again, as it may have been just about to wait.
            FileLocks.Interrupt(Volatile.Read(ref _threadId));
        }
        while (!_thread!.Join(Moment));
    }

    private void Run()
    {
        NativeThread.ShowName();
        Volatile.Write(ref _threadId, NativeThread.CurrentId);
        int result = -Errno.EINTR;
        while (result == -Errno.EINTR && !_isEnding)
        {
            result = _isWhole
                ? FileLocks.WaitWhole(_descriptor.Value, _range.Type)
                : FileLocks.Wait(_descriptor.Value, _range.Type, _range.Start, _range.End);
        }

        // Before the request is made again: if the owner has gone meanwhile, what it waited for goes with it now.
        _descriptor.DangerousRelease();
        Result = result;
        _isDone = true;
        _ready!.Signal();
    }
}
