using System.Diagnostics.CodeAnalysis;
using Cnvm.Api.Http;
using Cnvm.Linux;

namespace Cnvm.Api;

/// <summary>The thread <c>vmm</c>: carries out requests in the order in which they came. It starts with the first one.</summary>
internal sealed class ApiWorker : IDisposable
{
    private const int StackBytes = 1 << 20;
    private readonly ApiRouter _router;
    private readonly EventFd _finishedEvent;
    private readonly Lock _lock = new();
    private readonly Queue<(HttpConnection Connection, HttpRequest Request)> _waiting = new();
    private readonly Queue<(HttpConnection Connection, HttpResponse Response)> _finished = new();
    private readonly AutoResetEvent _arrived = new(false);
    private Thread? _thread;
    private bool _stopping;

    /// <param name="finishedEvent">Signalled after each request; not owned.</param>
    public ApiWorker(ApiRouter router, EventFd finishedEvent)
    {
        _router = router;
        _finishedEvent = finishedEvent;
    }

    /// <summary>Takes over a request; its answer comes out of <see cref="TryTakeFinished"/> with the same connection.</summary>
    public void Add(HttpConnection connection, HttpRequest request)
    {
        lock (_lock)
        {
            _waiting.Enqueue((connection, request));
            if (_thread is null)
            {
                _thread = new Thread(Run, StackBytes) { Name = "vmm", IsBackground = true };
                _thread.Start();
            }
        }

        _arrived.Set();
    }

    public bool TryTakeFinished([NotNullWhen(true)] out HttpConnection? connection, [NotNullWhen(true)] out HttpResponse? response)
    {
        lock (_lock)
        {
            if (_finished.TryDequeue(out (HttpConnection Connection, HttpResponse Response) next))
            {
                (connection, response) = next;
                return true;
            }
        }

        (connection, response) = (null, null);
        return false;
    }

    /// <summary>Waits for the request under way; those that have not begun are dropped.</summary>
    public void Dispose()
    {
        Thread? thread;
        lock (_lock)
        {
            _stopping = true;
            thread = _thread;
        }

        _arrived.Set();
        if (thread is not null && thread != Thread.CurrentThread)
        {
            thread.Join();
        }

        foreach ((_, HttpRequest request) in _waiting)
        {
            request.Dispose();
        }

        _arrived.Dispose();
    }

    private void Run()
    {
        ThreadName.SetCurrent("vmm");
        while (true)
        {
            HttpConnection connection;
            HttpRequest request;
            lock (_lock)
            {
                if (_stopping)
                {
                    return;
                }

                if (!_waiting.TryDequeue(out (HttpConnection, HttpRequest) next))
                {
                    (connection, request) = (null!, null!);
                }
                else
                {
                    (connection, request) = next;
                }
            }

            if (request is null)
            {
                _arrived.WaitOne();
                continue;
            }

            HttpResponse response;
            using (request)
            {
                response = _router.Handle(request);
            }

            lock (_lock)
            {
                _finished.Enqueue((connection, response));
            }

            _finishedEvent.Signal();
        }
    }
}
