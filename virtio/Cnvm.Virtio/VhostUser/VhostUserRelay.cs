using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// The thread beside a back end: turns its calls into interrupts, sees it go, and looks for it until it is back.
/// </summary>
internal sealed class VhostUserRelay : QueueWorker
{
    private const ulong SocketToken = ulong.MaxValue - 1;
    private const ulong TimerToken = ulong.MaxValue - 2;

    private readonly RetryTimer _timer = new();
    private readonly Action<int> _onCall;
    private readonly Action _onHangUp;
    private readonly Func<bool> _tryReconnect;
    private readonly Action _onFailure;

    /// <param name="calls">What the back end signals, by queue. They are never read: it could empty one at the wrong moment and have a read wait.</param>
    /// <param name="tryReconnect">False: again later.</param>
    /// <param name="onFailure">The thread ends, and does none of this any more.</param>
    public VhostUserRelay(
        string name,
        IReadOnlyList<EventFd> calls,
        Action<int> onCall,
        Action onHangUp,
        Func<bool> tryReconnect,
        Action onFailure,
        ILogger logger)
        : base(name, logger)
    {
        _onCall = onCall;
        _onHangUp = onHangUp;
        _tryReconnect = tryReconnect;
        _onFailure = onFailure;
        for (int i = 0; i < calls.Count; i++)
        {
            Watch(calls[i].Fd, Libc.EPOLLIN | Libc.EPOLLET, (ulong)i);
        }

        Watch(_timer.Fd, Libc.EPOLLIN, TimerToken);
    }

    /// <summary>Sees to the connection from now on. Any thread.</summary>
    public void WatchSocket(int fd) => Watch(fd, Libc.EPOLLIN | Libc.EPOLLRDHUP, SocketToken);

    /// <summary>Before the socket is closed. Any thread.</summary>
    public void UnwatchSocket(int fd) => Unwatch(fd);

    /// <summary>Looks for the back end until it is there, ever less often. Any thread.</summary>
    /// <param name="connectedAt">When the one that has gone came, as <see cref="Environment.TickCount64"/> was then.</param>
    public void RetryAfter(long connectedAt) => _timer.RetryAfter(connectedAt);

    /// <summary>Looks at once. Any thread.</summary>
    public void RetryNow() => _timer.RetryNow();

    protected override void OnStart()
    {
    }

    protected override void OnReady(ulong token, uint events)
    {
        switch (token)
        {
            case SocketToken:
                _onHangUp();
                break;
            case TimerToken:
                if (_timer.Drain() && !_tryReconnect())
                {
                    _timer.Retry();
                }

                break;
            default:
                _onCall((int)token);
                break;
        }
    }

    protected override void OnStop()
    {
    }

    protected override void OnFailure() => _onFailure();

    protected override void ReleaseResources() => _timer.Dispose();
}
