using System.Runtime.InteropServices;
using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Net;

/// <summary>
/// Frames through a Unix stream socket that another program serves: passt(1), or what else speaks the protocol of QEMU's stream networks. Each
/// frame follows its length, a 32-bit big-endian number. When the program goes, or sends what is no such stream, the connection is closed and made
/// anew as soon as somebody serves the socket again. One queue pair, and no unfinished packets: frames have no header that would tell of them.
/// </summary>
public sealed unsafe partial class StreamBackend : INetBackend
{
    private const int LengthBytes = sizeof(uint);

    /// <summary>A frame's pieces, and the length before or behind them.</summary>
    private const int MaxPieces = IoVec.MaxCount + 1;

    private readonly string _id;
    private readonly IStreamSource _source;
    private readonly ILogger _logger;
    private readonly LogRateLimit _lostLimit = new();
    private readonly LogRateLimit _foundLimit = new();
    private readonly LogRateLimit _refusedLimit = new();
    private readonly Epoll _readable = new();
    private readonly Epoll _room = new();
    private readonly EventFd _gone = new();
    private readonly StreamKeeper _keeper;

    // The keeper's thread alone replaces the connection, under both locks; whoever receives holds one, whoever sends the other. _sendGate comes first.
    private readonly Lock _sendGate = new();
    private readonly Lock _receiveGate = new();
    private UnixStream? _stream;
    private string? _fault;
    private long _connectedAt;
    private ulong _reconnects;
    private volatile bool _isConnected;
    private volatile Action? _connectionChanged;

    private StreamBackend(string id, IStreamSource source, UnixStream stream, ILogger logger)
    {
        _id = id;
        _source = source;
        _logger = logger;
        // SAFETY: freed in Dispose; untouched pages cost no memory.
        _received = (byte*)NativeMemory.Alloc(LengthBytes + NetSpec.MaxFrameBytes);
        _unsent = (byte*)NativeMemory.Alloc(LengthBytes + NetSpec.MaxFrameBytes);
        _receivePieces = (IoVec*)NativeMemory.Alloc(MaxPieces, (nuint)sizeof(IoVec));
        _sendPieces = (IoVec*)NativeMemory.Alloc(MaxPieces, (nuint)sizeof(IoVec));
        _keeper = new StreamKeeper($"{id}_link", OnSocket, TryReconnect, OnKeeperFailed, logger);
        _room.Add(_gone.Fd, Libc.EPOLLIN, 0);
        Install(stream);
        _keeper.Start();
    }

    public int QueueCount => 1;

    public TapOffloads SupportedOffloads => TapOffloads.None;

    public bool MayDisconnect => true;

    public bool IsConnected => _isConnected;

    public Action? ConnectionChanged
    {
        get => _connectionChanged;
        set => _connectionChanged = value;
    }

    public ulong Reconnects => Volatile.Read(ref _reconnects);

    /// <summary>The next process makes a connection of its own: where a frame begins in this one is known here only.</summary>
    public IReadOnlyList<int> HostDescriptors => [];

    public uint RoomEvents => Libc.EPOLLIN;

    /// <summary>Connects to the program at the other end.</summary>
    /// <param name="id">The device's name, for threads and messages.</param>
    /// <param name="path">The program's socket.</param>
    /// <exception cref="NetBackendException">Nobody serves it, or the host refuses.</exception>
    public static StreamBackend Connect(string id, string path, ILogger logger) => Connect(id, new SocketSource(path), logger);

    /// <summary>Starts passt(1) at the other end, once more whenever it has ended. It ends with this object, or with this process.</summary>
    /// <param name="id">The device's name, for threads and messages.</param>
    /// <exception cref="NetBackendException">It is not there, or refuses: ports that are taken, for example.</exception>
    public static StreamBackend Start(string id, PasstOptions options, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Connect(id, new PasstSource(options), logger);
    }

    /// <summary>Why <see cref="Start"/> would fail before it starts anything; null if it would not.</summary>
    public static string? StartObstacle() => ProgramPath.Find(PasstOptions.ProgramName) is null ? PasstSource.Missing : null;

    private static StreamBackend Connect(string id, IStreamSource source, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(logger);
        try
        {
            UnixStream stream = source.TryConnect(out string obstacle) ?? throw new NetBackendException(obstacle);
            return new StreamBackend(id, source, stream, logger);
        }
        catch (LinuxException e)
        {
            source.Dispose();
            throw new NetBackendException($"the network at {source.Name} cannot be used: {e.Message}", e);
        }
    }

    public int GetReadFd(int queue) => _readable.Fd;

    public int GetRoomFd(int queue) => _room.Fd;

    public bool TrySetOffloads(TapOffloads offloads) => offloads == TapOffloads.None;

    public void SetActive(int queue, bool active)
    {
        // There is one queue, which a driver cannot put out of use.
    }

    public void Dispose()
    {
        // Before its memory goes: the thread sends what is left over.
        _keeper.Dispose();
        _stream?.Dispose();
        _stream = null;
        _isConnected = false;
        _source.Dispose();
        _readable.Dispose();
        _room.Dispose();
        _gone.Dispose();
        NativeMemory.Free(_received);
        NativeMemory.Free(_unsent);
        NativeMemory.Free(_receivePieces);
        NativeMemory.Free(_sendPieces);
        _received = null;
        _unsent = null;
        _receivePieces = null;
        _sendPieces = null;
    }

    private void Install(UnixStream stream)
    {
        lock (_sendGate)
        {
            lock (_receiveGate)
            {
                _readable.Add(stream.Fd, Libc.EPOLLIN, 0);
                _room.Add(stream.Fd, Libc.EPOLLOUT, 0);
                _keeper.WatchSocket(stream.Fd);
                _isReadWatched = true;
                _frameBytes = 0;
                _frameDone = 0;
                _lengthDone = 0;
                _unsentBytes = 0;
                _unsentDone = 0;
                _fault = null;
                _ = _gone.Drain();
                _connectedAt = Environment.TickCount64;
                _stream = stream;
            }
        }

        _isConnected = true;
    }

    /// <summary>Ends the connection on the thread that found the fault, which holds one of the locks; the keeper takes it apart.</summary>
    private void Fail(UnixStream stream, string reason)
    {
        _ = Interlocked.CompareExchange(ref _fault, reason, null);
        stream.CloseReading();
        stream.CloseWriting();
    }

    private void OnSocket(uint events)
    {
        if ((events & (Libc.EPOLLRDHUP | Libc.EPOLLHUP | Libc.EPOLLERR)) != 0)
        {
            Lose();
            return;
        }

        lock (_sendGate)
        {
            if (_stream is { } stream)
            {
                _ = TryFlush(stream);
            }
        }
    }

    private void Lose()
    {
        string reason = "it has closed the connection";
        lock (_sendGate)
        {
            lock (_receiveGate)
            {
                if (_stream is not { } stream)
                {
                    return;
                }

                reason = _fault ?? _source.LastWords() ?? reason;
                _keeper.UnwatchSocket(stream.Fd);
                _room.Remove(stream.Fd);
                StopReading(stream);
                _stream = null;
                stream.Dispose();

                // Wakes a queue that waits for room, and there will be none.
                _gone.Signal();
            }
        }

        _isConnected = false;
        if (_lostLimit.TryTake(out long suppressed))
        {
            LogLost(_logger, _id, _source.Name, reason, suppressed);
        }

        _keeper.RetryAfter(_connectedAt);
        _connectionChanged?.Invoke();
    }

    /// <summary>On the keeper's thread, the only one that connects.</summary>
    private bool TryReconnect()
    {
        if (_stream is not null)
        {
            return true;
        }

        UnixStream? stream = null;
        try
        {
            stream = _source.TryConnect(out string obstacle);
            if (stream is null)
            {
                if (_source.StartsProgram && _refusedLimit.TryTake(out long unsaid))
                {
                    LogRefused(_logger, _id, _source.Name, obstacle, unsaid);
                }

                return false;
            }

            Install(stream);
        }
        catch (LinuxException e)
        {
            stream?.Dispose();
            if (_refusedLimit.TryTake(out long hidden))
            {
                LogRefused(_logger, _id, _source.Name, e.Message, hidden);
            }

            return false;
        }

        Volatile.Write(ref _reconnects, _reconnects + 1);
        if (_foundLimit.TryTake(out long suppressed))
        {
            LogFound(_logger, _id, _source.Name, suppressed);
        }

        _connectionChanged?.Invoke();
        return true;
    }

    /// <summary>On the keeper's thread, at its end: nobody looks after the connection any more.</summary>
    private void OnKeeperFailed()
    {
        lock (_sendGate)
        {
            lock (_receiveGate)
            {
                _stream?.Dispose();
                _stream = null;
                _gone.Signal();
            }
        }

        _isConnected = false;
        _connectionChanged?.Invoke();
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: the network at {Socket} is gone: {Reason}; the link is down until the program there is back ({Suppressed} like it not shown)")]
    private static partial void LogLost(ILogger logger, string device, string socket, string reason, long suppressed);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Device}: the network at {Socket} is there again ({Suppressed} like it not shown)")]
    private static partial void LogFound(ILogger logger, string device, string socket, long suppressed);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: the network at {Socket} cannot be reached: {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogRefused(ILogger logger, string device, string socket, string reason, long suppressed);
}
