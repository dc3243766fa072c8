using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>Somebody who has connected. Heard on a thread of its own, so that one who says nothing keeps nobody else waiting.</summary>
internal sealed class IncomingConnection : IDisposable
{
    private const int StackBytes = 256 << 10;
    private readonly SocketStream _socket;
    private readonly Thread _thread;
    private HeardLink? _heard;
    private volatile bool _hasEnded;

    /// <param name="socket">Owned.</param>
    /// <param name="hear">Says who it is, on that thread; null for one whose connection is somebody else's now, or closed. Throws nothing.</param>
    /// <param name="news">Set when that is known.</param>
    public IncomingConnection(SocketStream socket, Func<SocketStream, HeardLink?> hear, AutoResetEvent news)
    {
        _socket = socket;
        _thread = new Thread(
            () =>
            {
                NativeThread.ShowName();
                _heard = hear(socket);
                _hasEnded = true;
                news.Set();
            },
            StackBytes) { Name = "migration-hears", IsBackground = true };
        _thread.Start();
    }

    /// <summary>It is known who it is.</summary>
    public bool HasEnded => _hasEnded;

    /// <summary>Once <see cref="HasEnded"/>: the connection, which is the caller's then; null if it is of no use.</summary>
    public HeardLink? Take() => Interlocked.Exchange(ref _heard, null);

    /// <summary>Ends the connection, if nobody took it, and the thread.</summary>
    public void Dispose()
    {
        if (!_hasEnded)
        {
            _socket.Abort();
        }

        _thread.Join();
        _heard?.Link.Dispose();
    }
}
