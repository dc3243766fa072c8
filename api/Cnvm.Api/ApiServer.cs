using Cnvm.Api.Http;
using Cnvm.Linux;
using Cnvm.Vmm;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api;

/// <summary>
/// Serves the REST API on a Unix socket. One thread named <c>http-server</c> moves all bytes and answers <c>vmm.ping</c>; everything
/// else runs in order on the VMM's thread, so that no call and no slow client keeps another client's ping waiting.
/// </summary>
public sealed partial class ApiServer : IDisposable
{
    /// <summary>Pending connections that the kernel keeps while the server is busy.</summary>
    public const int Backlog = 16;

    private const int StackBytes = 512 << 10;
    private const int AcceptRetryMilliseconds = 100;

    /// <summary>Requests of one connection that are answered before the others have their turn.</summary>
    private const int RequestsATurn = 8;
    private readonly UnixListener _listener;
    private readonly ApiRouter _router;
    private readonly VmmThread _vmmThread;
    private readonly Lock _finishedLock = new();
    private readonly Queue<(HttpConnection Connection, HttpResponse Response)> _finished = new();
    private readonly ILogger _logger;
    private readonly EventFd _wake = new();
    private readonly List<HttpConnection> _connections = [];

    // Connections that may have more requests in their buffers, of which poll(2) knows nothing.
    private readonly List<HttpConnection> _unfinished = [];
    // Requests that wait for an event.
    private readonly List<(HttpConnection Connection, HttpRequest Request)> _waiting = [];
    private readonly EventHistory _events;
    private readonly Thread _thread;
    private volatile bool _stopping;
    private bool _started;
    private bool _acceptPaused;

    /// <param name="listener">Where clients connect; the server owns it from now on.</param>
    /// <param name="vmmThread">Where calls of <paramref name="vmm"/> run; not owned.</param>
    public ApiServer(UnixListener listener, IVmm vmm, VmmThread vmmThread, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(listener);
        ArgumentNullException.ThrowIfNull(vmm);
        ArgumentNullException.ThrowIfNull(vmmThread);
        ArgumentNullException.ThrowIfNull(logger);
        _vmmThread = vmmThread;
        _listener = listener;
        _logger = logger;
        _router = new ApiRouter(vmm, logger);
        _events = vmm.Events;
        _events.Added += Wake;
        _thread = new Thread(Run, StackBytes) { Name = "http-server", IsBackground = true };
    }

    /// <summary>
    /// A client has asked by <c>vmm.shutdown</c> for the process to end, and has its answer. Called on the server's thread: set an event
    /// and return.
    /// </summary>
    public event Action? ShutdownRequested;

    /// <summary>Begins to serve.</summary>
    public void Start()
    {
        _thread.Start();
        _started = true;
    }

    /// <summary>
    /// Closes all connections and the socket and waits for the server's thread. Not on that thread. Calls that are under way go on, and
    /// their answers are dropped: end the VMM's thread afterwards.
    /// </summary>
    public void Dispose()
    {
        if (!_stopping)
        {
            _events.Added -= Wake;
            lock (_finishedLock)
            {
                _stopping = true;
                _wake.Signal();
            }

            if (_started)
            {
                _thread.Join();
            }

            foreach (HttpConnection connection in _connections)
            {
                connection.Dispose();
            }

            _waiting.ForEach(w => w.Request.Dispose());
            _listener.Dispose();
            _wake.Dispose();
        }
    }

    private void Run()
    {
        NativeThread.ShowName();
        // The wake-up, the listener, and the connections.
        var entries = new PollEntry[2 + HttpLimits.Connections];
        while (!_stopping)
        {
            int count = Wait(entries);
            _wake.Drain();

            // Also when the server ends: who waited for something to be over, and it is, shall know.
            FinishRequests();
            if (_stopping)
            {
                return;
            }

            AnswerWaiting();
            HttpConnection[] unfinished = [.. _unfinished];
            _unfinished.Clear();
            for (int i = 0; i < count; i++)
            {
                if (entries[2 + i].Returned != 0 && IsWaiting(_connections[i]))
                {
                    // Nothing but the connection's end is reported while its request waits.
                    int index = _waiting.FindIndex(w => w.Connection == _connections[i]);
                    _waiting[index].Request.Dispose();
                    _waiting.RemoveAt(index);
                    _connections[i].Abandon();
                }
                else if (entries[2 + i].Returned != 0 || unfinished.Contains(_connections[i]))
                {
                    Serve(_connections[i]);
                }
            }

            // First those who went, so that those who come find their places.
            RemoveFinished();
            if (entries[1].Returned != 0 || _acceptPaused)
            {
                AcceptAll();
            }
        }
    }

    /// <summary>Waits for the next event; returns how many connections the entries cover.</summary>
    private int Wait(PollEntry[] entries)
    {
        entries[0] = new PollEntry { Fd = _wake.Fd, Events = PollEntry.In };
        entries[1] = new PollEntry { Fd = _acceptPaused ? -1 : _listener.Fd, Events = PollEntry.In };
        for (int i = 0; i < _connections.Count; i++)
        {
            short interest = _connections[i].Interest;
            entries[2 + i] = new PollEntry { Fd = interest == 0 && !IsWaiting(_connections[i]) ? -1 : _connections[i].Fd, Events = interest };
        }

        int timeout = _unfinished.Count > 0 ? 0 : _acceptPaused ? AcceptRetryMilliseconds : -1;
        Poll.Wait(entries.AsSpan(0, 2 + _connections.Count), timeout);
        return _connections.Count;
    }

    private void FinishRequests()
    {
        while (TryTakeFinished(out (HttpConnection Connection, HttpResponse Response) next))
        {
            next.Connection.Respond(next.Response);
            Serve(next.Connection);
        }
    }

    private bool TryTakeFinished(out (HttpConnection Connection, HttpResponse Response) next)
    {
        lock (_finishedLock)
        {
            return _finished.TryDequeue(out next);
        }
    }

    /// <summary>On the VMM's thread.</summary>
    private void Handle(HttpConnection connection, HttpRequest request)
    {
        using (request)
        {
            _router.Handle(request, response => Finish(connection, response));
        }
    }

    /// <summary>On whichever thread has the answer.</summary>
    private void Finish(HttpConnection connection, HttpResponse response)
    {
        lock (_finishedLock)
        {
            // After the server has stopped there is nobody to wake, and no connection any more.
            if (!_stopping)
            {
                _finished.Enqueue((connection, response));
                _wake.Signal();
            }
        }
    }

    private void Park(HttpConnection connection, HttpRequest request)
    {
        if (_waiting.Count < HttpLimits.Waiting)
        {
            _waiting.Add((connection, request));
        }
        else
        {
            request.Dispose();
            connection.Respond(ApiRouter.TooManyWaiting);
        }
    }

    private bool IsWaiting(HttpConnection connection) => _waiting.Exists(w => w.Connection == connection);

    private void AnswerWaiting()
    {
        for (int i = _waiting.Count - 1; i >= 0; i--)
        {
            (HttpConnection connection, HttpRequest request) = _waiting[i];
            if (!_router.MustWait(request))
            {
                _waiting.RemoveAt(i);
                using (request)
                {
                    connection.Respond(_router.Handle(request));
                }

                Serve(connection);
            }
        }
    }

    /// <summary>Any thread.</summary>
    private void Wake()
    {
        lock (_finishedLock)
        {
            if (!_stopping)
            {
                _wake.Signal();
            }
        }
    }

    private void Serve(HttpConnection connection)
    {
        try
        {
            int served = 0;
            while (connection.Advance() is { } request)
            {
                if (_router.MustWait(request))
                {
                    Park(connection, request);
                }
                else if (_router.AnswersAtOnce(request))
                {
                    using (request)
                    {
                        connection.Respond(_router.Handle(request));
                    }
                }
                else
                {
                    _vmmThread.Post(() => Handle(connection, request));
                }

                if (++served == RequestsATurn)
                {
                    _unfinished.Add(connection);
                    return;
                }
            }
        }
        catch (HttpFormatException e)
        {
            LogBadRequest(_logger, e.Message);
            connection.Refuse(ApiRouter.BadRequest(e.Message));
        }
        catch (LinuxException e)
        {
            LogConnectionFailed(_logger, e.Message);
            connection.Fail();
        }
    }

    private void AcceptAll()
    {
        _acceptPaused = false;
        try
        {
            // One backlog a turn: those who come and go without end do not keep the others waiting.
            for (int i = 0; i < Backlog && _listener.Accept() is { } stream; i++)
            {
                if (_connections.Count < HttpLimits.Connections)
                {
                    var connection = new HttpConnection(stream);
                    _connections.Add(connection);
                    Serve(connection);
                }
                else
                {
                    // One short message into an empty socket buffer: it either goes at once or the client is gone.
                    stream.Send(HttpResponse.TooManyConnections);
                    stream.Dispose();
                }

                RemoveFinished();
            }
        }
        catch (LinuxException e)
        {
            // Out of descriptors, most likely: try again in a moment instead of spinning on a readable listener.
            LogAcceptFailed(_logger, e.Message);
            _acceptPaused = true;
        }
    }

    private void RemoveFinished()
    {
        for (int i = _connections.Count - 1; i >= 0; i--)
        {
            HttpConnection connection = _connections[i];
            bool ended = connection.TakeServerEnded();
            if (connection.IsFinished && !connection.IsHandling)
            {
                _connections.RemoveAt(i);
                _unfinished.Remove(connection);
                connection.Dispose();
            }

            if (ended)
            {
                ShutdownRequested?.Invoke();
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "API request refused: {Reason}")]
    private static partial void LogBadRequest(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "API connection failed: {Reason}")]
    private static partial void LogConnectionFailed(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "API connection not accepted: {Reason}")]
    private static partial void LogAcceptFailed(ILogger logger, string reason);
}
