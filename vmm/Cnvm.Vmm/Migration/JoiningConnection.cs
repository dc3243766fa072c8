using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Somebody who connects while a guest's further connections are waited for. Heard on a thread of its own, so that one who says nothing keeps
/// nobody else waiting.
/// </summary>
internal sealed class JoiningConnection : IDisposable
{
    private const int StackBytes = 256 << 10;
    private readonly SocketStream _socket;
    private readonly Thread _thread;
    private JoinedLink? _joined;
    private volatile bool _hasEnded;

    /// <param name="socket">Owned.</param>
    /// <param name="hear">Says who it is, on that thread; null for one that has been turned away, and the socket closed. Throws nothing.</param>
    /// <param name="news">Set when that is known.</param>
    public JoiningConnection(SocketStream socket, Func<SocketStream, JoinedLink?> hear, AutoResetEvent news)
    {
        _socket = socket;
        _thread = new Thread(
            () =>
            {
                NativeThread.ShowName();
                _joined = hear(socket);
                _hasEnded = true;
                news.Set();
            },
            StackBytes) { Name = "migration-joins", IsBackground = true };
        _thread.Start();
    }

    /// <summary>It is known who it is.</summary>
    public bool HasEnded => _hasEnded;

    /// <summary>Once <see cref="HasEnded"/>: the connection, which is the caller's then; null if it is of no use.</summary>
    public JoinedLink? Take() => Interlocked.Exchange(ref _joined, null);

    /// <summary>Ends the connection, if nobody took it, and the thread.</summary>
    public void Dispose()
    {
        if (!_hasEnded)
        {
            _socket.Abort();
        }

        _thread.Join();
        _joined?.Link.Dispose();
    }
}
