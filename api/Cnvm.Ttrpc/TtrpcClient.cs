using System.Collections.Concurrent;
using Cnvm.Ttrpc.Wire;

namespace Cnvm.Ttrpc;

/// <summary>
/// Calls methods of the other side of a stream (ttrpc, unary calls). Any number of threads may call at once; answers come in any order.
/// The other side may be hostile: what it sends can fail calls and end the connection, nothing else.
/// </summary>
public sealed class TtrpcClient : IAsyncDisposable
{
    private const uint FirstStream = 1;
    private const int NanosecondsPerTick = 100;

    /// <summary>Answers without a question that are passed over, besides those of calls that were given up: who sends more would keep this side busy for ever.</summary>
    private const int MostUnasked = 64;

    /// <summary>The longest that a timer here can wait; a longer limit is only told to the other side.</summary>
    private static readonly TimeSpan LongestTimer = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private readonly Stream _stream;
    private readonly FrameReader _reader;
    private readonly FrameWriter _writer;
    private readonly ConcurrentDictionary<uint, IPendingCall> _pending = new();
    private readonly CancellationTokenSource _end = new();
    private readonly Task _reading;
    private uint _nextStream = FirstStream;
    private int _unasked = MostUnasked;
    private volatile string? _closedBecause;
    private int _disposed;

    /// <param name="stream">A connection to a server, owned from now on.</param>
    public TtrpcClient(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _stream = stream;
        _reader = new FrameReader(stream);
        _writer = new FrameWriter(stream);
        _reading = Task.Run(ReadAnswersAsync);
    }

    /// <summary>
    /// Ends, always well, when the other side has gone or this client was disposed of. Calls under way fail with
    /// <see cref="TtrpcCode.Unavailable"/> then, and so do later ones.
    /// </summary>
    public Task Closed => _reading;

    /// <summary>Calls a method and waits for its answer.</summary>
    /// <param name="service">The service's full name, such as <c>grpc.AgentService</c>.</param>
    /// <param name="method">The method's name.</param>
    /// <param name="timeout">How long to wait, told to the other side too; null or infinite for as long as it takes.</param>
    /// <param name="cancellation">Ends the wait. The other side does not hear of it and goes on.</param>
    /// <exception cref="TtrpcException">
    /// The other side's refusal, or <see cref="TtrpcCode.DeadlineExceeded"/>, <see cref="TtrpcCode.Unavailable"/> when the connection is no more,
    /// <see cref="TtrpcCode.ResourceExhausted"/> for a request or an answer above 4 MiB, <see cref="TtrpcCode.Internal"/> for an answer that is none.
    /// </exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled.</exception>
    public async Task<TResponse> CallAsync<TRequest, TResponse>(
        string service, string method, TRequest request, TimeSpan? timeout = null, CancellationToken cancellation = default)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse>
    {
        ArgumentException.ThrowIfNullOrEmpty(service);
        ArgumentException.ThrowIfNullOrEmpty(method);
        ArgumentNullException.ThrowIfNull(request);
        cancellation.ThrowIfCancellationRequested();
        if (timeout == Timeout.InfiniteTimeSpan)
        {
            timeout = null;
        }
        if (timeout <= TimeSpan.Zero)
        {
            throw Late(service, method);
        }
        using CancellationTokenSource? limit = timeout is null ? null : CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (timeout < LongestTimer)
        {
            limit!.CancelAfter(timeout.Value);
        }
        CancellationToken token = limit?.Token ?? cancellation;
        var call = new PendingCall<TResponse>();
        try
        {
            Task sending = SendAsync(service, method, request, timeout, call, token);
            // Should the wait end before a frame that has been begun is sent, it is sent all the same; a failure of that ends the connection.
            await sending.WaitAsync(token).ConfigureAwait(false);
            return await call.Answer.WaitAsync(token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw Late(service, method);
        }
        finally
        {
            call.GiveUp();
            if (_pending.TryRemove(call.StreamId, out _))
            {
                // Its answer may come all the same.
                Interlocked.Increment(ref _unasked);
            }
        }
    }

    /// <summary>Ends the connection and fails the calls under way.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }
        _closedBecause ??= "this client was disposed of";
        await _end.CancelAsync().ConfigureAwait(false);
        await _stream.DisposeAsync().ConfigureAwait(false);
        await _reading.ConfigureAwait(false);
        _end.Dispose();
    }

    private static TtrpcException Late(string service, string method) => new(TtrpcCode.DeadlineExceeded, $"{service}/{method} was not answered in time");

    private async Task SendAsync<TRequest>(string service, string method, TRequest request, TimeSpan? timeout, IPendingCall call, CancellationToken cancellation)
        where TRequest : class, IProtoMessage<TRequest>
    {
        ThrowIfClosed();
        long nanoseconds = timeout is { } limit ? Math.Min(limit.Ticks, long.MaxValue / NanosecondsPerTick) * NanosecondsPerTick : 0;
        try
        {
            await _writer.SendAsync(
                FrameType.Request,
                () => Register(call),
                writer => RequestEnvelope.Write(writer, service, method, request, nanoseconds),
                cancellation).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            Close($"sending failed: {e.Message}");
            ThrowIfClosed();
        }
    }

    /// <summary>Called when it is the frame's turn: the numbers of streams go up, as servers expect it.</summary>
    private uint Register(IPendingCall call)
    {
        if (call.IsGivenUp)
        {
            throw new OperationCanceledException();
        }
        if (_nextStream > uint.MaxValue - 2)
        {
            Close("all numbers of streams are used up; connect again");
        }
        ThrowIfClosed();
        call.StreamId = _nextStream;
        _nextStream += 2;
        _pending[call.StreamId] = call;
        // The connection or the wait may have ended in between, and looked for this call before it was there.
        ThrowIfClosed();
        if (call.IsGivenUp)
        {
            _pending.TryRemove(call.StreamId, out _);
            throw new OperationCanceledException();
        }
        return call.StreamId;
    }

    private void ThrowIfClosed()
    {
        if (_closedBecause is { } reason)
        {
            throw new TtrpcException(TtrpcCode.Unavailable, $"ttrpc: closed: {reason}");
        }
    }

    private async Task ReadAnswersAsync()
    {
        try
        {
            while (await _reader.ReadAsync(_end.Token).ConfigureAwait(false))
            {
                if (_pending.TryRemove(_reader.Header.StreamId, out IPendingCall? call))
                {
                    call.Complete(_reader);
                }
                else if (Interlocked.Decrement(ref _unasked) < 0)
                {
                    throw new InvalidDataException($"stream {_reader.Header.StreamId} was answered, where nothing was asked, after {MostUnasked} others");
                }
            }
            Close("the other side has ended the connection");
        }
        catch (Exception e)
        {
            // Whatever kind of stream it is: a broken one ends the connection, and every call hears why.
            Close(e.Message);
        }
        await _stream.DisposeAsync().ConfigureAwait(false);
    }

    private void Close(string reason)
    {
        _closedBecause ??= reason;
        foreach (uint stream in _pending.Keys)
        {
            if (_pending.TryRemove(stream, out IPendingCall? call))
            {
                call.Fail(TtrpcCode.Unavailable, $"ttrpc: closed: {_closedBecause}");
            }
        }
    }
}
