namespace Cnvm.Ttrpc.Wire;

/// <inheritdoc/>
internal sealed class PendingCall<TResponse> : IPendingCall
    where TResponse : class, IProtoMessage<TResponse>
{
    private readonly TaskCompletionSource<TResponse> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _givenUp;

    public uint StreamId { get; set; }

    public bool IsGivenUp => _givenUp;

    public Task<TResponse> Answer => _answer.Task;

    public void GiveUp()
    {
        _givenUp = true;
        _answer.TrySetCanceled();
    }

    public void Complete(FrameReader frame)
    {
        FrameHeader header = frame.Header;
        if (frame.TooLong)
        {
            Fail(TtrpcCode.ResourceExhausted, $"message length {header.Length} exceed maximum message size of {FrameHeader.MaxData}");
            return;
        }
        if (header.Type != FrameType.Response)
        {
            Fail(TtrpcCode.Internal, $"the answer is a frame of type {(byte)header.Type}; only responses ({(byte)FrameType.Response}) are expected");
            return;
        }
        try
        {
            ResponseEnvelope response = ResponseEnvelope.Read(frame.Data.Span);
            if (response.Status is { Code: not 0 } status)
            {
                Fail(status.TtrpcCode, status.Message);
                return;
            }
            _answer.TrySetResult(TResponse.Read(response.Payload));
        }
        catch (ProtoException e)
        {
            Fail(TtrpcCode.Internal, $"the answer is no {typeof(TResponse).Name}: {e.Message}");
        }
    }

    public void Fail(TtrpcCode code, string message) => _answer.TrySetException(new TtrpcException(code, message));
}
