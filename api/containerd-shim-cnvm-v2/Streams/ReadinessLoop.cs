using Cnvm.Linux;

namespace Cnvm.Shim.Streams;

/// <summary>
/// One thread that waits for FIFOs, however many there are: the runtime's own loop takes sockets only, and a thread for each stream of each process would
/// cost a shim with many processes more than it does itself. Any thread may wait; one wait for a descriptor at a time.
/// </summary>
internal sealed class ReadinessLoop : IDisposable
{
    private const int EventsAtOnce = 32;
    private const ulong WakeToken = 0;
    private readonly Epoll _epoll = new();
    private readonly EventFd _wake = new();
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, (int Fd, TaskCompletionSource Done)> _waits = [];
    private ulong _lastToken;
    private volatile bool _isEnding;

    public ReadinessLoop()
    {
        _epoll.Add(_wake.Fd, Libc.EPOLLIN, WakeToken);
        _thread = new Thread(Run) { Name = "shim-streams", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Waits until a descriptor can be read or written, or its other end has gone.</summary>
    /// <param name="fd">Stays open until this is over.</param>
    public async Task WaitAsync(int fd, bool forWriting, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        ulong token;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isEnding, this);
            token = ++_lastToken;
            _epoll.Add(fd, (forWriting ? Libc.EPOLLOUT : Libc.EPOLLIN) | Libc.EPOLLONESHOT, token);
            _waits.Add(token, (fd, done));
        }

        await using CancellationTokenRegistration registration = cancellation.Register(() => Take(token)?.TrySetCanceled(cancellation));
        await done.Task;
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_isEnding)
            {
                return;
            }

            _isEnding = true;
        }

        _wake.Signal();
        _thread.Join();
        foreach ((_, TaskCompletionSource done) in _waits.Values)
        {
            done.TrySetException(new ObjectDisposedException(nameof(ReadinessLoop)));
        }

        _epoll.Dispose();
        _wake.Dispose();
    }

    private void Run()
    {
        Span<EpollEvent> events = stackalloc EpollEvent[EventsAtOnce];
        while (!_isEnding)
        {
            int count = _epoll.Wait(events, -1);
            for (int i = 0; i < count; i++)
            {
                // A token that was cancelled meanwhile is nobody's.
                Take(events[i].Token)?.TrySetResult();
            }
        }
    }

    private TaskCompletionSource? Take(ulong token)
    {
        lock (_lock)
        {
            if (!_waits.Remove(token, out (int Fd, TaskCompletionSource Done) wait))
            {
                return null;
            }

            _epoll.Remove(wait.Fd);
            return wait.Done;
        }
    }
}
