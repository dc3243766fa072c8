using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio;

/// <summary>
/// An I/O thread: sleeps in epoll on doorbells, back ends and a stop event. Everything but <see cref="Start"/> and
/// <see cref="Stop"/> runs on that thread.
/// </summary>
internal abstract partial class QueueWorker : IDisposable
{
    private const ulong StopToken = ulong.MaxValue;
    private const int StackBytes = 256 * 1024;
    private const int EventsPerWait = 16;

    private readonly Epoll _epoll = new();
    private readonly EventFd _stop = new();
    private readonly string _name;
    private readonly EpollEvent[] _ready = new EpollEvent[EventsPerWait];
    private Thread? _thread;

    protected QueueWorker(string name, ILogger logger)
    {
        _name = name;
        Logger = logger;
        _epoll.Add(_stop.Fd, Libc.EPOLLIN, StopToken);
    }

    protected ILogger Logger { get; }

    /// <summary>Starts the thread; also again, after it was stopped.</summary>
    public void Start()
    {
        _stop.Drain();
        _thread = new Thread(Run, StackBytes) { Name = _name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Has the thread drain its work and end, and waits for that.</summary>
    public void Stop()
    {
        if (_thread is { } thread)
        {
            _stop.Signal();
            thread.Join();
            _thread = null;
        }
    }

    public void Dispose()
    {
        Stop();
        ReleaseResources();
        _epoll.Dispose();
        _stop.Dispose();
    }

    protected void Watch(int fd, uint events, ulong token) => _epoll.Add(fd, events, token);

    /// <summary>Watches a doorbell, which <see cref="TakeDoorbell"/> is called for when it is ready.</summary>
    protected void WatchDoorbell(EventFd doorbell, ulong token) =>
        Watch(doorbell.Fd, doorbell.IsShared ? Libc.EPOLLIN | Libc.EPOLLET : Libc.EPOLLIN, token);

    /// <summary>Takes note of a doorbell. One that another process has as well is watched for edges and never read, which might wait.</summary>
    protected static void TakeDoorbell(EventFd doorbell)
    {
        if (!doorbell.IsShared)
        {
            doorbell.Drain();
        }
    }

    protected void ChangeWatch(int fd, uint events, ulong token) => _epoll.Modify(fd, events, token);

    protected void Unwatch(int fd) => _epoll.Remove(fd);

    /// <summary>First look at the queues.</summary>
    protected abstract void OnStart();

    /// <summary>A watched descriptor is ready.</summary>
    protected abstract void OnReady(ulong token, uint events);

    /// <summary>All descriptors that were ready together have been looked at.</summary>
    protected virtual void OnTurn()
    {
    }

    /// <summary>Finishes what is in flight.</summary>
    protected abstract void OnStop();

    /// <summary>The host failed under the worker: its queues must be given up.</summary>
    protected abstract void OnFailure();

    /// <summary>Frees what the worker owns, after its thread has ended.</summary>
    protected abstract void ReleaseResources();

    private void Run()
    {
        NativeThread.ShowName();
        try
        {
            OnStart();
            while (true)
            {
                int count = _epoll.Wait(_ready, -1);
                for (int i = 0; i < count; i++)
                {
                    if (_ready[i].Token == StopToken)
                    {
                        OnStop();
                        return;
                    }

                    OnReady(_ready[i].Token, _ready[i].Events);
                }

                OnTurn();
            }
        }
        catch (Exception e)
        {
            // The end of this thread must not take the machine down: the driver is told that the device needs a reset.
            LogFailed(Logger, e, _name);
            OnFailure();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Worker}: I/O thread failed; the device needs a reset")]
    private static partial void LogFailed(ILogger logger, Exception exception, string worker);
}
