using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Shim;

/// <summary>The shim's socket. Connections are served at the same time; only processes of this user may make them.</summary>
internal sealed class ShimServer : IAsyncDisposable
{
    private const int Backlog = 16;
    private const int SOL_SOCKET = 1;
    private const int SO_PEERCRED = 17;

    /// <summary>How long the answer to the last call has to reach its caller.</summary>
    private static readonly TimeSpan LastAnswerLimit = TimeSpan.FromSeconds(1);

    private readonly Socket _listener;
    private readonly string _path;
    private readonly ConcurrentDictionary<Task, byte> _connections = new();

    private ShimServer(Socket listener, string path)
    {
        _listener = listener;
        _path = path;
    }

    /// <summary>Makes the socket. A file that a dead shim has left is replaced: who asks has seen that nobody serves it.</summary>
    /// <exception cref="SocketException">The path is too long, or the host refuses.</exception>
    public static ShimServer Bind(string path)
    {
        // Socket and folder are for containerd, which is the same user; files of containers are not.
        uint mask = FileCreationMask.Set(FileCreationMask.OwnerOnly);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Delete(path);
            listener.Bind(new UnixDomainSocketEndPoint(path));
            listener.Listen(Backlog);
            return new ShimServer(listener, path);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
        finally
        {
            FileCreationMask.Set(mask);
        }
    }

    /// <summary>Serves until the session's shutdown, or until it is cancelled.</summary>
    public async Task RunAsync(ShimSession session, CancellationToken cancellation)
    {
        using var stopAccepting = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var stopServing = new CancellationTokenSource();
        Task accepting = AcceptAsync(session, stopAccepting.Token, stopServing.Token);
        await Task.WhenAny(session.Shutdown, accepting);
        await stopAccepting.CancelAsync();
        await accepting;
        if (!cancellation.IsCancellationRequested)
        {
            try
            {
                // containerd closes its connection behind the answer.
                await Task.WhenAll(_connections.Keys).WaitAsync(LastAnswerLimit, cancellation);
            }
            catch (Exception e) when (e is TimeoutException or OperationCanceledException)
            {
                // It keeps it: the answer has left by now.
                await stopServing.CancelAsync();
            }
        }

        await stopServing.CancelAsync();
        await Task.WhenAll(_connections.Keys);
    }

    public ValueTask DisposeAsync()
    {
        _listener.Dispose();
        File.Delete(_path);
        return ValueTask.CompletedTask;
    }

    private async Task AcceptAsync(ShimSession session, CancellationToken cancellation, CancellationToken stopServing)
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptAsync(cancellation);
                if (!IsOwn(socket))
                {
                    socket.Dispose();
                    continue;
                }

                session.OnConnected();
                Task serving = session.Server.ServeAsync(new NetworkStream(socket, ownsSocket: true), stopServing);
                _connections[serving] = 0;
                _ = serving.ContinueWith(ended => _connections.TryRemove(ended, out _), TaskScheduler.Default);
            }
        }
        catch (OperationCanceledException)
        {
            // No more connections.
            return;
        }
    }

    private static bool IsOwn(Socket socket)
    {
        // struct ucred: process, user, group (unix(7)).
        Span<uint> credentials = stackalloc uint[3];
        _ = socket.GetRawSocketOption(SOL_SOCKET, SO_PEERCRED, MemoryMarshal.AsBytes(credentials));
        return credentials[1] == PrivateDirectory.UserId;
    }
}
