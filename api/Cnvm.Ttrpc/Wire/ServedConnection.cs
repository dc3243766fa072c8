namespace Cnvm.Ttrpc.Wire;

/// <summary>One connection to a server, from its first frame to the end of its last call.</summary>
internal sealed class ServedConnection(Stream stream, TtrpcServer server, ITtrpcLog? log) : IDisposable
{
    private const int NanosecondsPerTick = 100;

    /// <summary>Failures of handlers that one connection has in the log.</summary>
    private const int LoggedFailures = 100;

    private readonly FrameReader _reader = new(stream);
    private readonly FrameWriter _writer = new(stream);
    private readonly CancellationTokenSource _end = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, Task> _calls = [];
    private long _requestBytes;
    private int _failures;
    private int _refusals;

    public async Task RunAsync(CancellationToken cancellation)
    {
        // The stream goes with it: reads and writes that do not look at the token end too.
        using CancellationTokenRegistration stop = cancellation.Register(End);
        try
        {
            while (await _reader.ReadAsync(_end.Token).ConfigureAwait(false))
            {
                await AcceptAsync().ConfigureAwait(false);
            }
        }
        catch (Exception) when (_end.IsCancellationRequested)
        {
            log?.ConnectionStopped();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or System.Net.Sockets.SocketException)
        {
            log?.CallerGone(e.Message);
        }
        catch (Exception e)
        {
            log?.ConnectionBroken(e.Message);
        }
        End();
        Task[] calls;
        lock (_lock)
        {
            calls = [.. _calls.Values];
        }
        await Task.WhenAll(calls).ConfigureAwait(false);
    }

    public void Dispose()
    {
        End();
        _end.Dispose();
    }

    private void End()
    {
        _end.Cancel();
        stream.Dispose();
    }

    /// <summary>Starts the call of the frame that the reader has, or refuses it.</summary>
    private async Task AcceptAsync()
    {
        FrameHeader header = _reader.Header;
        if (header.Type == FrameType.Response)
        {
            // Nothing was asked, and an answer to it might be answered in turn.
            LogRefusal(header, "a response to a server");
            return;
        }
        try
        {
            Start(header);
        }
        catch (TtrpcException e)
        {
            LogRefusal(header, e.Message);
            await AnswerAsync(header.StreamId, writer => ResponseEnvelope.Write(writer, e.Code, e.Message)).ConfigureAwait(false);
        }
    }

    /// <exception cref="TtrpcException">The frame starts no call.</exception>
    private void Start(FrameHeader header)
    {
        if (_reader.TooLong)
        {
            throw new TtrpcException(TtrpcCode.ResourceExhausted, $"message length {header.Length} exceed maximum message size of {FrameHeader.MaxData}");
        }
        if (header.StreamId % 2 == 0)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, "StreamID must be odd for client initiated streams");
        }
        if (header.Type == FrameType.Data)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, "StreamID is no longer active");
        }
        if (header.Type != FrameType.Request)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"frames of type {(byte)header.Type} are not known");
        }
        if ((header.Flags & FrameHeader.RemoteOpen) != 0)
        {
            throw new TtrpcException(TtrpcCode.Unimplemented, "streams are not supported, only unary calls");
        }
        (PreparedCall call, TimeSpan? timeout) = Prepare();
        lock (_lock)
        {
            if (_calls.ContainsKey(header.StreamId))
            {
                throw new TtrpcException(TtrpcCode.InvalidArgument, $"stream {header.StreamId} has a call under way");
            }
            if (_calls.Count >= TtrpcServer.MaxCalls || _requestBytes + header.Length > TtrpcServer.MaxRequestBytes)
            {
                throw new TtrpcException(TtrpcCode.ResourceExhausted,
                    $"this connection has {_calls.Count} calls with {_requestBytes} bytes under way; {TtrpcServer.MaxCalls} and {TtrpcServer.MaxRequestBytes} are allowed");
            }
            _requestBytes += header.Length;
            // On a thread of its own from the start: a handler that computes before it waits does not keep the reader.
            _calls.Add(header.StreamId, Task.Run(() => RunCallAsync(header, call, timeout)));
        }
    }

    private (PreparedCall Call, TimeSpan? Timeout) Prepare()
    {
        try
        {
            RequestEnvelope request = RequestEnvelope.Read(_reader.Data.Span);
            PreparedCall call = server.Find(request.Service, request.Method)(request.Payload);
            return (call, request.TimeoutNano > 0 ? TimeSpan.FromTicks(Math.Max(request.TimeoutNano / NanosecondsPerTick, 1)) : null);
        }
        catch (ProtoException e)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"unmarshal request error: {e.Message}");
        }
    }

    private async Task RunCallAsync(FrameHeader header, PreparedCall call, TimeSpan? timeout)
    {
        Action<ProtoWriter> answer;
        using (var limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token))
        {
            if (timeout is { TotalMilliseconds: < uint.MaxValue - 1 } time)
            {
                limit.CancelAfter(time);
            }
            answer = await OutcomeAsync(call, limit.Token).ConfigureAwait(false);
        }
        await AnswerAsync(header.StreamId, answer).ConfigureAwait(false);
        lock (_lock)
        {
            _calls.Remove(header.StreamId);
            _requestBytes -= header.Length;
        }
    }

    private async Task<Action<ProtoWriter>> OutcomeAsync(PreparedCall call, CancellationToken cancellation)
    {
        TtrpcCode code;
        string message;
        try
        {
            return await call(cancellation).ConfigureAwait(false);
        }
        catch (TtrpcException e)
        {
            (code, message) = (e.Code == TtrpcCode.Ok ? TtrpcCode.Unknown : e.Code, e.Message);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            (code, message) = _end.IsCancellationRequested ? (TtrpcCode.Cancelled, "context canceled") : (TtrpcCode.DeadlineExceeded, "context deadline exceeded");
        }
        catch (Exception e)
        {
            (code, message) = (TtrpcCode.Internal, e.Message);
            Failed(e);
        }
        return writer => ResponseEnvelope.Write(writer, code, message);
    }

    private async Task AnswerAsync(uint streamId, Action<ProtoWriter> answer)
    {
        try
        {
            await _writer.SendAsync(FrameType.Response, () => streamId, answer, _end.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            log?.CallerGone(e.Message);
            End();
        }
        catch (Exception e)
        {
            // Nothing was sent: too long, or text that cannot be written.
            Failed(e);
            (TtrpcCode code, string message) = e is TtrpcException refusal
                ? (refusal.Code, refusal.Message)
                : (TtrpcCode.Internal, $"the answer cannot be written: {e.GetType().Name}");
            await AnswerAsync(streamId, writer => ResponseEnvelope.Write(writer, code, message)).ConfigureAwait(false);
        }
    }

    private void Failed(Exception reason)
    {
        if (Interlocked.Increment(ref _failures) <= LoggedFailures)
        {
            log?.CallFailed(reason);
        }
    }

    private void LogRefusal(FrameHeader header, string reason)
    {
        if (_refusals++ == 0)
        {
            log?.FrameRefused(header.StreamId, reason);
        }
    }
}
