using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <summary>The thread beside a stream of frames: sees the peer go, looks for it until it is back, and sends what a full socket left over.</summary>
internal sealed class StreamKeeper : QueueWorker
{
    private const ulong SocketToken = 0;
    private const ulong TimerToken = 1;

    private readonly RetryTimer _timer = new();
    private readonly Action<uint> _onSocket;
    private readonly Func<bool> _tryReconnect;
    private readonly Action _onFailure;

    /// <param name="onSocket">With the socket's events.</param>
    /// <param name="tryReconnect">False: again later.</param>
    /// <param name="onFailure">The thread ends, and does none of this any more.</param>
    public StreamKeeper(string name, Action<uint> onSocket, Func<bool> tryReconnect, Action onFailure, ILogger logger)
        : base(name, logger)
    {
        _onSocket = onSocket;
        _tryReconnect = tryReconnect;
        _onFailure = onFailure;
        Watch(_timer.Fd, Libc.EPOLLIN, TimerToken);
    }

    /// <summary>Sees to the connection from now on. Any thread.</summary>
    public void WatchSocket(int fd) => Watch(fd, Libc.EPOLLRDHUP, SocketToken);

    /// <summary>Whether it matters that the socket has room. Any thread.</summary>
    public void WatchRoom(int fd, bool isWanted) => ChangeWatch(fd, Libc.EPOLLRDHUP | (isWanted ? Libc.EPOLLOUT : 0), SocketToken);

    /// <summary>Before the socket is closed. Any thread.</summary>
    public void UnwatchSocket(int fd) => Unwatch(fd);

    /// <inheritdoc cref="RetryTimer.RetryAfter"/>
    public void RetryAfter(long connectedAt) => _timer.RetryAfter(connectedAt);

    protected override void OnStart()
    {
    }

    protected override void OnReady(ulong token, uint events)
    {
        if (token == SocketToken)
        {
            _onSocket(events);
        }
        else if (_timer.Drain() && !_tryReconnect())
        {
            _timer.Retry();
        }
    }

    protected override void OnStop()
    {
    }

    protected override void OnFailure() => _onFailure();

    protected override void ReleaseResources() => _timer.Dispose();
}
