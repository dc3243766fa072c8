using System.Net.Sockets;
using Cnvm.Shim.Events;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>containerd's event service: a socket that keeps what it is sent, and can go away and come back.</summary>
internal sealed class FakeContainerd : IAsyncDisposable
{
    private readonly string _path;
    private readonly Lock _lock = new();
    private readonly List<EventEnvelope> _events = [];
    private readonly SemaphoreSlim _arrived = new(0);
    private CancellationTokenSource? _running;
    private Task _serving = Task.CompletedTask;

    public FakeContainerd(string path)
    {
        _path = path;
        Start();
    }

    /// <summary>Topics in the order in which they came.</summary>
    public IReadOnlyList<string> Topics
    {
        get
        {
            lock (_lock)
            {
                return [.. _events.Select(e => e.Topic)];
            }
        }
    }

    public IReadOnlyList<EventEnvelope> Events
    {
        get
        {
            lock (_lock)
            {
                return [.. _events];
            }
        }
    }

    public void Start()
    {
        File.Delete(_path);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(_path));
        listener.Listen(4);
        _running = new CancellationTokenSource();
        _serving = ServeAsync(listener, _running.Token);
    }

    public async Task StopAsync()
    {
        if (_running is { } running)
        {
            _running = null;
            await running.CancelAsync();
            await _serving;
            running.Dispose();
        }
    }

    /// <summary>Waits until so many events have come.</summary>
    public async Task<IReadOnlyList<EventEnvelope>> WaitForAsync(int count)
    {
        while (Events.Count < count)
        {
            Assert.True(await _arrived.WaitAsync(ShimHarness.Patience), $"{count} events were to come; these did: {string.Join(' ', Topics)}");
        }

        return Events;
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task ServeAsync(Socket listener, CancellationToken stop)
    {
        var server = new TtrpcServer(
            [new TtrpcService("containerd.services.events.ttrpc.v1.Events").Add<ForwardRequest, Empty>("Forward", Take)], null);
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                Socket socket = await listener.AcceptAsync(stop);
                connections.Add(server.ServeAsync(new NetworkStream(socket, ownsSocket: true), stop));
            }
        }
        catch (OperationCanceledException)
        {
            listener.Dispose();
        }

        await Task.WhenAll(connections);
    }

    private Task<Empty> Take(ForwardRequest request, CancellationToken cancellation)
    {
        lock (_lock)
        {
            _events.Add(request.Envelope!);
        }

        _arrived.Release();
        return Task.FromResult(Empty.Instance);
    }
}
