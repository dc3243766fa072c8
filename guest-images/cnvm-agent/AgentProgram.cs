using Cnvm.GuestAgent.Containers;
using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Service;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent;

/// <summary>Accepts connections and serves them until the sandbox is ended.</summary>
internal sealed class AgentProgram(AgentOptions options, ConsoleLog log)
{
    private const int MostConnections = 64;
    private static readonly TimeSpan LastAnswer = TimeSpan.FromSeconds(1);
    private int _connections;

    /// <exception cref="IOException">This machine lacks something.</exception>
    public async Task RunAsync()
    {
        var watch = new DescriptorWatch(new Epoll());
        using var sandbox = new Sandbox(options.ControlGroups, watch, log);
        var services = new AgentServices(sandbox, log);
        var server = new TtrpcServer(services.All, log);
        using SocketListener listener = options.Path is { } path ? SocketListener.AtPath(path) : SocketListener.AtVsockPort(options.Port);
        log.Write($"cnvm-agent {BuildVersion.Full} listens at {options.Path ?? $"vsock port {options.Port}"}");
        using var ended = new CancellationTokenSource();
        var serving = new List<Task>();
        while (true)
        {
            Task<bool> next = watch.WaitAsync(listener.Fd, Libc.EPOLLIN);
            if (await Task.WhenAny(next, services.Destroyed).ConfigureAwait(false) == services.Destroyed)
            {
                watch.Forget(listener.Fd);
                break;
            }

            while (listener.Accept() is { } connection)
            {
                if (Volatile.Read(ref _connections) >= MostConnections)
                {
                    connection.Dispose();
                    continue;
                }

                serving.RemoveAll(s => s.IsCompleted);
                serving.Add(ServeAsync(server, new ConnectionStream(watch, connection), ended.Token));
            }
        }

        // Whoever asked for the end hears that it has come, and closes.
        await Task.WhenAny(Task.WhenAll(serving), Task.Run(() => ended.Token.WaitHandle.WaitOne(LastAnswer))).ConfigureAwait(false);
        await ended.CancelAsync().ConfigureAwait(false);
    }

    private async Task ServeAsync(TtrpcServer server, ConnectionStream stream, CancellationToken ended)
    {
        Interlocked.Increment(ref _connections);
        try
        {
            await server.ServeAsync(stream, ended).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            log.Write($"a connection has failed: {e.Message}");
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }
}
