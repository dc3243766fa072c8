using System.Net.Sockets;
using System.Threading.Channels;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Events;

/// <summary>
/// Hands events to containerd, one after the other, on a connection that is made again when it breaks. While containerd is away events wait here; what
/// an event meets never concerns the call that it came from.
/// </summary>
internal sealed partial class EventPublisher : IEventSink, IAsyncDisposable
{
    /// <summary>Events that wait; the oldest are dropped beyond, and containerd asks for states when it comes back.</summary>
    private const int Capacity = 4096;

    private const string Service = "containerd.services.events.ttrpc.v1.Events";
    private const string Method = "Forward";
    private const string Package = "containerd.events.";
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(5);
    private readonly string _address;
    private readonly string _namespace;
    private readonly ILogger _logger;
    private readonly Channel<EventEnvelope> _queue;
    private readonly SemaphoreSlim _returned = new(0);
    private readonly CancellationTokenSource _end = new();
    private readonly Task _sending;
    private TtrpcClient? _client;

    /// <param name="address">Path of containerd's ttrpc socket.</param>
    /// <param name="containerdNamespace">The containers' namespace.</param>
    public EventPublisher(string address, string containerdNamespace, ILogger logger)
    {
        _address = address.StartsWith("unix://", StringComparison.Ordinal) ? address["unix://".Length..] : address;
        _namespace = containerdNamespace;
        _logger = logger;
        _queue = Channel.CreateBounded<EventEnvelope>(
            new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true },
            dropped => LogDropped(logger, dropped.Topic, "too many are waiting"));
        _sending = SendAllAsync();
    }

    public void Publish<TMessage>(string topic, TMessage message)
        where TMessage : IProtoMessage<TMessage>
    {
        // The name as a constant of the type: containerd finds the type by it.
        string type = typeof(TMessage).Name switch
        {
            nameof(TaskOom) => "TaskOOM",
            string name => name,
        };
        _ = _queue.Writer.TryWrite(new EventEnvelope
        {
            Timestamp = ProtoTimestamp.From(DateTimeOffset.UtcNow),
            Namespace = _namespace,
            Topic = topic,
            Event = ProtoAny.Of(Package + type, message),
        });
    }

    /// <summary>containerd has shown that it is there: what waits is sent now. Any thread.</summary>
    public void TryNow() => _returned.Release();

    /// <summary>Waits until all events are with containerd, but no longer than a time; what is left then is lost.</summary>
    public async Task FinishAsync(TimeSpan limit)
    {
        _queue.Writer.TryComplete();
        try
        {
            await _sending.WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            LogDropped(_logger, $"{_queue.Reader.Count} events", "containerd did not take them before the shim ended");
        }
    }

    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await _end.CancelAsync();
        await _sending;
        await DropClientAsync();
        _end.Dispose();
        _returned.Dispose();
    }

    private async Task SendAllAsync()
    {
        try
        {
            await foreach (EventEnvelope envelope in _queue.Reader.ReadAllAsync(_end.Token))
            {
                await SendAsync(envelope);
            }
        }
        catch (OperationCanceledException)
        {
            LogEnded(_logger);
        }
    }

    private async Task SendAsync(EventEnvelope envelope)
    {
        TimeSpan pause = FirstRetry;
        while (true)
        {
            try
            {
                _client ??= await ConnectAsync();
                await _client.CallAsync<ForwardRequest, Empty>(Service, Method, new ForwardRequest { Envelope = envelope }, CallLimit, _end.Token);
                return;
            }
            catch (TtrpcException e) when (e.Code is not (TtrpcCode.Unavailable or TtrpcCode.DeadlineExceeded or TtrpcCode.Cancelled))
            {
                LogDropped(_logger, envelope.Topic, e.Message);
                return;
            }
            catch (Exception e) when (e is TtrpcException or SocketException or IOException)
            {
                _end.Token.ThrowIfCancellationRequested();
                LogRetry(_logger, envelope.Topic, e.Message);
                await DropClientAsync();
            }

            // containerd's next connection says that it is back. The time is for one that never went: only its event socket did.
            await _returned.WaitAsync(pause, _end.Token);
            pause = pause * 2 < LongestRetry ? pause * 2 : LongestRetry;
        }
    }

    private async Task<TtrpcClient> ConnectAsync()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(_address), _end.Token);
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        return new TtrpcClient(new NetworkStream(socket, ownsSocket: true));
    }

    private async ValueTask DropClientAsync()
    {
        if (_client is { } client)
        {
            _client = null;
            await client.DisposeAsync();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "event {Topic} waits: {Reason}")]
    private static partial void LogRetry(ILogger logger, string topic, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "event {Topic} is lost: {Reason}")]
    private static partial void LogDropped(ILogger logger, string topic, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "events end")]
    private static partial void LogEnded(ILogger logger);
}
