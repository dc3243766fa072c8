using Cnvm.Linux;

namespace Cnvm.Vmm.Consoles;

/// <summary>
/// A Unix stream socket that one client at a time connects to; a new client takes the place of the one before. Output while
/// nobody is connected is kept up to the size of the buffer and then dropped.
/// </summary>
public sealed class SocketConsole : HostConsole
{
    private readonly UnixListener _listener;
    private readonly string _path;

    // Replaced on the console's thread only, under the gate, so that nobody writes to a descriptor that was just closed.
    private UnixStream? _client;

    /// <exception cref="LinuxException">The socket cannot be created.</exception>
    public SocketConsole(string path)
        : base("console-socket")
    {
        _path = path;
        _listener = UnixListener.Bind(path, backlog: 1);
    }

    public override string? Path => _path;

    protected override int InputFd => _client?.Fd ?? -1;

    protected override int OutputFd => _client?.Fd ?? -1;

    protected override int ListenFd => _listener.Fd;

    protected override bool LosesOutput => true;

    protected override void OnListenReady()
    {
        if (_listener.Accept() is { } client)
        {
            Replace(client);
        }
    }

    protected override void OnInputEnd() => Replace(null);

    protected override void OnOutputFailed() => Replace(null);

    protected override void Close()
    {
        Replace(null);
        _listener.Dispose();
    }

    private void Replace(UnixStream? client)
    {
        lock (Gate)
        {
            _client?.Dispose();
            _client = client;
        }
    }
}
