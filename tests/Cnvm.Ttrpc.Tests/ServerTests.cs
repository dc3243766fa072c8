using System.Buffers.Binary;
using Cnvm.Fuzz;
using Cnvm.Ttrpc.Wire;

namespace Cnvm.Ttrpc.Tests;

/// <summary>The server as a peer sees it that sends what it likes.</summary>
public sealed class ServerTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly StreamPair _pair = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly RecordingLog _log = new();
    private readonly Task _serving;

    public ServerTests()
    {
        TtrpcService service = new TtrpcService("test.Service")
            .Add<Leaf, Leaf>("Echo", (request, _) => Task.FromResult(request))
            .Add<Leaf, Leaf>("Wait", async (request, cancellation) =>
            {
                try
                {
                    await _release.Task.WaitAsync(cancellation);
                    return request;
                }
                catch (OperationCanceledException)
                {
                    _cancelled.TrySetResult();
                    throw;
                }
            })
            .Add<Leaf, Leaf>("Refuse", (request, _) => throw new TtrpcException(TtrpcCode.NotFound, $"no {request.Name}"))
            .Add<Leaf, Leaf>("Break", (_, _) => throw new InvalidOperationException("it broke"))
            .Add<Leaf, Leaf>("Huge", (_, _) => Task.FromResult(new Leaf { Name = new string('x', 5 << 20) }))
            .Add<Leaf, Leaf>("Half", (_, _) => Task.FromResult(new Leaf { Name = "\ud800" }));
        _serving = new TtrpcServer([service], new TtrpcLog(_log)).ServeAsync(_pair.Far, _stop.Token);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _pair.Dispose();
        Assert.True(_serving.Wait(Patience), "the server does not stop");
        _stop.Dispose();
    }

    [Fact]
    public async Task A_request_is_answered_on_its_stream()
    {
        byte[] payload = ProtoWriter.ToBytes(new Leaf { Name = "a", Value = 3 });
        await SendAsync(RawFrames.Request(7, "test.Service", "Echo", payload));
        (FrameHeader header, byte[] data) = await RawFrames.ReadAsync(_pair.Near);
        Assert.Equal((7u, FrameType.Response, (byte)0), (header.StreamId, header.Type, header.Flags));
        Assert.Equal("1206" + Convert.ToHexString(payload), Convert.ToHexString(data));
    }

    [Theory]
    [InlineData("test.Nothing", "Echo", TtrpcCode.Unimplemented, "service test.Nothing")]
    [InlineData("test.Service", "Nothing", TtrpcCode.Unimplemented, "method Nothing")]
    [InlineData("test.Service", "Refuse", TtrpcCode.NotFound, "no x")]
    [InlineData("test.Service", "Break", TtrpcCode.Internal, "it broke")]
    [InlineData("test.Service", "Huge", TtrpcCode.ResourceExhausted, "message length 5242890 exceed maximum message size of 4194304")]
    [InlineData("test.Service", "Half", TtrpcCode.Internal, "the answer cannot be written: EncoderFallbackException")]
    public async Task Failures_are_answered(string service, string method, TtrpcCode code, string message)
    {
        await SendAsync(RawFrames.Request(1, service, method, ProtoWriter.ToBytes(new Leaf { Name = "x" })));
        Assert.Equal((1u, code, message), await RawFrames.StatusAsync(_pair.Near));
        await AssertServesAsync();
    }

    [Fact]
    public async Task What_breaks_in_a_handler_is_logged()
    {
        await SendAsync(RawFrames.Request(1, "test.Service", "Break", []));
        await RawFrames.StatusAsync(_pair.Near);
        Assert.Contains(_log.Lines, l => l.Contains("it broke", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(2u, (byte)1, (byte)0, TtrpcCode.InvalidArgument, "StreamID must be odd for client initiated streams")]
    [InlineData(1u, (byte)3, (byte)0, TtrpcCode.InvalidArgument, "StreamID is no longer active")]
    [InlineData(1u, (byte)0, (byte)0, TtrpcCode.InvalidArgument, "frames of type 0 are not known")]
    [InlineData(1u, (byte)200, (byte)0, TtrpcCode.InvalidArgument, "frames of type 200 are not known")]
    [InlineData(1u, (byte)1, (byte)2, TtrpcCode.Unimplemented, "streams are not supported, only unary calls")]
    [InlineData(1u, (byte)1, (byte)0, TtrpcCode.InvalidArgument, "unmarshal request error: field 31, byte 1: a length of 255 with 0 bytes left")]
    public async Task Frames_that_are_no_calls_are_refused_by_stream(uint stream, byte type, byte flags, TtrpcCode code, string message)
    {
        await SendAsync(RawFrames.Frame(stream, type, flags, [0xFA, 0x01, 0xFF, 0x01]));
        (uint answered, TtrpcCode got, string text) = await RawFrames.StatusAsync(_pair.Near);
        Assert.Equal((stream, code), (answered, got));
        Assert.Equal(message.Replace("byte 1", "byte 2", StringComparison.Ordinal), text);
        await AssertServesAsync();
    }

    [Fact]
    public async Task A_payload_that_is_no_request_is_refused()
    {
        await SendAsync(RawFrames.Request(1, "test.Service", "Echo", [0x0A, 0x05]));
        Assert.Equal((1u, TtrpcCode.InvalidArgument, "unmarshal request error: field 1, byte 1: a length of 5 with 0 bytes left"), await RawFrames.StatusAsync(_pair.Near));
        await AssertServesAsync();
    }

    [Fact]
    public async Task Responses_are_dropped_and_unknown_flags_do_not_matter()
    {
        await SendAsync(RawFrames.Frame(1, 2, 0, [1, 2, 3]));
        byte[] request = RawFrames.Request(3, "test.Service", "Echo", []);
        request[9] = 0xFD;
        await SendAsync(request);
        Assert.Equal((3u, TtrpcCode.Ok, ""), await RawFrames.StatusAsync(_pair.Near));
    }

    [Fact]
    public async Task A_frame_that_is_too_long_is_drained_and_refused()
    {
        await SendAsync(RawFrames.Frame(5, 1, 0, new byte[FrameHeader.MaxData + 1]));
        Assert.Equal((5u, TtrpcCode.ResourceExhausted, "message length 4194305 exceed maximum message size of 4194304"), await RawFrames.StatusAsync(_pair.Near));
        await AssertServesAsync();
    }

    [Fact]
    public async Task The_longest_frame_is_served()
    {
        byte[] frame = RawFrames.Request(1, "test.Service", "Refuse", ProtoWriter.ToBytes(new Leaf { Name = "y" }));
        // Padded to the limit with an unknown field.
        int padding = FrameHeader.MaxData - (frame.Length - FrameHeader.Bytes) - 6;
        var writer = new ProtoWriter();
        writer.WriteBytes(100, new byte[padding]);
        byte[] longest = [.. frame, .. writer.ToArray()];
        BinaryPrimitives.WriteUInt32BigEndian(longest, (uint)(longest.Length - FrameHeader.Bytes));
        Assert.Equal(FrameHeader.MaxData, longest.Length - FrameHeader.Bytes);
        await SendAsync(longest);
        Assert.Equal((1u, TtrpcCode.NotFound, "no y"), await RawFrames.StatusAsync(_pair.Near));
        await AssertServesAsync();
    }

    [Fact]
    public async Task An_absurd_length_ends_the_connection()
    {
        byte[] header = new byte[FrameHeader.Bytes];
        new FrameHeader(uint.MaxValue, 1, FrameType.Request, 0).Write(header);
        await SendAsync(header);
        await _serving.WaitAsync(Patience);
        Assert.Contains(_log.Lines, l => l.Contains("4294967295", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Calls_run_at_the_same_time_and_are_answered_in_any_order()
    {
        await SendAsync(RawFrames.Request(1, "test.Service", "Wait", []));
        await SendAsync(RawFrames.Request(3, "test.Service", "Echo", []));
        Assert.Equal(3u, (await RawFrames.StatusAsync(_pair.Near)).StreamId);
        await SendAsync(RawFrames.Request(1, "test.Service", "Echo", []));
        Assert.Equal((1u, TtrpcCode.InvalidArgument, "stream 1 has a call under way"), await RawFrames.StatusAsync(_pair.Near));
        _release.SetResult();
        Assert.Equal((1u, TtrpcCode.Ok, ""), await RawFrames.StatusAsync(_pair.Near));
    }

    [Fact]
    public async Task A_callers_time_is_kept()
    {
        await SendAsync(RawFrames.Request(1, "test.Service", "Wait", [], timeoutNano: 50_000_000));
        Assert.Equal((1u, TtrpcCode.DeadlineExceeded, "context deadline exceeded"), await RawFrames.StatusAsync(_pair.Near));
        await SendAsync(RawFrames.Request(3, "test.Service", "Echo", [], timeoutNano: long.MaxValue));
        Assert.Equal(TtrpcCode.Ok, (await RawFrames.StatusAsync(_pair.Near)).Code);
        await SendAsync(RawFrames.Request(5, "test.Service", "Echo", [], timeoutNano: long.MinValue));
        Assert.Equal(TtrpcCode.Ok, (await RawFrames.StatusAsync(_pair.Near)).Code);
    }

    [Fact]
    public async Task A_caller_that_goes_cancels_its_calls()
    {
        await SendAsync(RawFrames.Request(1, "test.Service", "Wait", []));
        _pair.Near.Dispose();
        await _cancelled.Task.WaitAsync(Patience);
        await _serving.WaitAsync(Patience);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(12)]
    public async Task A_connection_may_end_anywhere(int bytes)
    {
        await _pair.Near.WriteAsync(RawFrames.Request(1, "test.Service", "Echo", []).AsMemory(0, bytes));
        _pair.Near.Dispose();
        await _serving.WaitAsync(Patience);
    }

    [Fact]
    public async Task Stopping_the_server_ends_the_connection_and_its_calls()
    {
        await SendAsync(RawFrames.Request(1, "test.Service", "Wait", []));
        await AssertServesAsync();
        await _stop.CancelAsync();
        await _serving.WaitAsync(Patience);
        await _cancelled.Task.WaitAsync(Patience);
    }

    [Fact]
    public async Task Calls_of_a_connection_are_bounded()
    {
        for (uint i = 0; i < TtrpcServer.MaxCalls; i++)
        {
            await SendAsync(RawFrames.Request(2 * i + 1, "test.Service", "Wait", []));
        }
        await SendAsync(RawFrames.Request(100_001, "test.Service", "Echo", []));
        (uint stream, TtrpcCode code, _) = await RawFrames.StatusAsync(_pair.Near);
        Assert.Equal((100_001u, TtrpcCode.ResourceExhausted), (stream, code));
        _release.SetResult();
        for (int i = 0; i < TtrpcServer.MaxCalls; i++)
        {
            Assert.Equal(TtrpcCode.Ok, (await RawFrames.StatusAsync(_pair.Near)).Code);
        }
    }

    [Fact]
    public async Task Bytes_of_calls_under_way_are_bounded()
    {
        byte[] payload = ProtoWriter.ToBytes(new Leaf { Name = new string('x', 4_100_000) });
        for (uint i = 0; ; i++)
        {
            Assert.InRange(i, 0u, 16u);
            await SendAsync(RawFrames.Request(2 * i + 1, "test.Service", "Wait", payload));
            await SendAsync(RawFrames.Request(100_001 + 2 * i, "test.Service", "Echo", []));
            (uint stream, TtrpcCode code, _) = await RawFrames.StatusAsync(_pair.Near);
            if (code != TtrpcCode.Ok)
            {
                Assert.Equal((2 * i + 1, TtrpcCode.ResourceExhausted, 16u), (stream, code, i));
                break;
            }
        }
    }

    [Fact]
    public async Task A_caller_that_does_not_read_holds_up_only_itself()
    {
        // Until the socket's buffers are full; then the server reads no more either, and stopping it ends it all the same.
        byte[] request = RawFrames.Request(2, "test.Service", "Echo", []);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            for (int i = 0; i < 1_000_000; i++)
            {
                await _pair.Near.WriteAsync(request, patience.Token);
            }
        });
        await _stop.CancelAsync();
        await _serving.WaitAsync(Patience);
    }

    [Fact]
    public Task Noise_ends_in_refusals_or_the_end_of_the_connection() => SeededRuns.RepeatAsync(200, static async seed =>
    {
        var random = new Random(seed);
        using var pair = new StreamPair();
        Task serving = new TtrpcServer([new TtrpcService("s").Add<Leaf, Leaf>("m", (request, _) => Task.FromResult(request))], log: null)
            .ServeAsync(pair.Far, CancellationToken.None);
        byte[] frame = RawFrames.Request(1, "s", "m", [0x0A, 0x01, 0x61]);
        for (int n = random.Next(1, 5); n > 0; n--)
        {
            frame[random.Next(4, frame.Length)] = (byte)random.Next(256);
        }
        await pair.Near.WriteAsync(frame);
        pair.Near.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        await serving.WaitAsync(Patience);
    });

    private async Task SendAsync(byte[] frame) => await _pair.Near.WriteAsync(frame);

    private async Task AssertServesAsync()
    {
        await SendAsync(RawFrames.Request(999, "test.Service", "Echo", []));
        Assert.Equal((999u, TtrpcCode.Ok, ""), await RawFrames.StatusAsync(_pair.Near));
    }
}
