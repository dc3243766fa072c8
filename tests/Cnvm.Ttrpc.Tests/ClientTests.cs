using Cnvm.Ttrpc.Wire;

namespace Cnvm.Ttrpc.Tests;

/// <summary>The client, against a server of this library and against one that answers what it likes.</summary>
public sealed class ClientTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly StreamPair _pair = new();
    private readonly TtrpcClient _client;

    public ClientTests() => _client = new TtrpcClient(_pair.Near);

    public void Dispose()
    {
        Assert.True(_client.DisposeAsync().AsTask().Wait(Patience), "the client does not end");
        Assert.True(_client.Closed.IsCompletedSuccessfully);
        _pair.Dispose();
    }

    [Fact]
    public async Task Many_calls_at_once_get_their_own_answers()
    {
        Task serving = Serve(new TtrpcService("s").Add<Leaf, Leaf>("m", async (request, _) =>
        {
            await Task.Yield();
            return request with { Value = request.Value * 2 };
        }));
        Leaf[] answers = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => CallAsync("m", new Leaf { Name = $"{i}", Value = (ulong)i }))).WaitAsync(Patience);
        Assert.All(answers, (answer, i) => Assert.Equal(new Leaf { Name = $"{i}", Value = 2 * (ulong)i }, answer));
        await _client.DisposeAsync();
        await serving.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_call_is_written_as_go_writes_it()
    {
        Task<Leaf> call = CallAsync("m", new Leaf { Name = "a" }, TimeSpan.FromSeconds(20));
        (FrameHeader header, byte[] data) = await RawFrames.ReadAsync(_pair.Far);
        Assert.Equal((1u, FrameType.Request, (byte)0), (header.StreamId, header.Type, header.Flags));
        // service 1, method 2, payload 3, timeout_nano 4 = 20,000,000,000
        Assert.Equal("0A0173" + "12016D" + "1A030A0161" + "208090DFC04A", Convert.ToHexString(data));
        await AnswerAsync(1, "12030A0162");
        Assert.Equal("b", (await call.WaitAsync(Patience)).Name);
        Task<Leaf> second = CallAsync("m", new Leaf());
        (header, data) = await RawFrames.ReadAsync(_pair.Far);
        Assert.Equal(3u, header.StreamId);
        Assert.Equal("0A0173" + "12016D" + "1A00", Convert.ToHexString(data));
        await AnswerAsync(3, "");
        Assert.Equal(new Leaf(), await second.WaitAsync(Patience));
    }

    [Theory]
    [InlineData((byte)2, "0A090805120565" + "72726F72", TtrpcCode.NotFound, "error")]
    [InlineData((byte)2, "0A02085A", TtrpcCode.Unknown, "")]
    [InlineData((byte)2, "0A0B08FFFFFFFFFFFFFFFFFF01", TtrpcCode.Unknown, "")]
    [InlineData((byte)2, "12020A05", TtrpcCode.Internal, "the answer is no Leaf: field 1, byte 1: a length of 5 with 0 bytes left")]
    [InlineData((byte)2, "FF", TtrpcCode.Internal, "the answer is no Leaf: byte 0: a number without an end")]
    [InlineData((byte)3, "", TtrpcCode.Internal, "the answer is a frame of type 3; only responses (2) are expected")]
    [InlineData((byte)77, "", TtrpcCode.Internal, "the answer is a frame of type 77; only responses (2) are expected")]
    public async Task Answers_that_are_failures_fail_their_call_alone(byte type, string hex, TtrpcCode code, string message)
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        await RawFrames.ReadAsync(_pair.Far);
        await _pair.Far.WriteAsync(RawFrames.Frame(1, type, 0, Convert.FromHexString(hex)));
        TtrpcException failure = await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience));
        Assert.Equal((code, message), (failure.Code, failure.Message));
        await AssertServedAsync(3);
    }

    [Fact]
    public async Task An_answer_that_is_too_long_fails_its_call()
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        await RawFrames.ReadAsync(_pair.Far);
        await _pair.Far.WriteAsync(RawFrames.Frame(1, 2, 0, new byte[FrameHeader.MaxData + 1]));
        Assert.Equal(TtrpcCode.ResourceExhausted, (await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience))).Code);
        await AssertServedAsync(3);
    }

    [Fact]
    public async Task A_request_that_is_too_long_is_not_sent()
    {
        TtrpcException failure = await Assert.ThrowsAsync<TtrpcException>(() => CallAsync("m", new Leaf { Name = new string('x', FrameHeader.MaxData) }));
        Assert.Equal(TtrpcCode.ResourceExhausted, failure.Code);
        await AssertServedAsync(1);
    }

    [Fact]
    public async Task A_request_that_cannot_be_written_is_not_sent()
    {
        await Assert.ThrowsAsync<System.Text.EncoderFallbackException>(() => CallAsync("m", new Leaf { Name = "\ud800" }));
        await AssertServedAsync(1);
    }

    [Fact]
    public async Task Answers_that_nobody_waits_for_are_dropped()
    {
        await AnswerAsync(2, "");
        await AnswerAsync(9, "");
        await AnswerAsync(uint.MaxValue, "");
        await AssertServedAsync(1);
    }

    [Fact]
    public async Task Answers_without_an_end_that_nobody_asked_for_end_the_connection()
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        await RawFrames.ReadAsync(_pair.Far);
        byte[] stray = [.. Enumerable.Range(0, 65).SelectMany(i => RawFrames.Frame(999, 2, 0, []))];
        await _pair.Far.WriteAsync(stray);
        TtrpcException failure = await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience));
        Assert.Equal(TtrpcCode.Unavailable, failure.Code);
        Assert.Contains("stream 999", failure.Message, StringComparison.Ordinal);
        await _client.Closed.WaitAsync(Patience);
    }

    [Fact]
    public async Task Time_is_kept_here_too()
    {
        Task<Leaf> call = CallAsync("m", new Leaf(), TimeSpan.FromMilliseconds(100));
        await RawFrames.ReadAsync(_pair.Far);
        Assert.Equal(TtrpcCode.DeadlineExceeded, (await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience))).Code);
        await AnswerAsync(1, "");
        await AssertServedAsync(3);
        Assert.Equal(TtrpcCode.DeadlineExceeded, (await Assert.ThrowsAsync<TtrpcException>(() => CallAsync("m", new Leaf(), TimeSpan.Zero))).Code);
    }

    [Fact]
    public async Task The_longest_times_are_no_failure()
    {
        Task<Leaf> call = CallAsync("m", new Leaf(), TimeSpan.MaxValue);
        (_, byte[] data) = await RawFrames.ReadAsync(_pair.Far);
        Assert.InRange(RequestEnvelope.Read(data).TimeoutNano, long.MaxValue - 100, long.MaxValue);
        await AnswerAsync(1, "");
        await call.WaitAsync(Patience);
        call = CallAsync("m", new Leaf(), Timeout.InfiniteTimeSpan);
        (_, data) = await RawFrames.ReadAsync(_pair.Far);
        Assert.Equal(0, RequestEnvelope.Read(data).TimeoutNano);
        await AnswerAsync(3, "");
        await call.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_call_can_be_given_up()
    {
        using var giveUp = new CancellationTokenSource();
        Task<Leaf> call = _client.CallAsync<Leaf, Leaf>("s", "m", new Leaf(), timeout: TimeSpan.FromMinutes(1), giveUp.Token);
        await RawFrames.ReadAsync(_pair.Far);
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call.WaitAsync(Patience));
        await AnswerAsync(1, "");
        await AssertServedAsync(3);
    }

    [Fact]
    public async Task Calls_end_in_time_when_the_other_side_does_not_read()
    {
        // The first frames fill the socket; the one that is stuck half-way and those behind it end when their time is up.
        var big = new Leaf { Name = new string('x', 1 << 20) };
        Task<Leaf>[] calls = [.. Enumerable.Range(0, 8).Select(_ => CallAsync("m", big, TimeSpan.FromMilliseconds(300)))];
        foreach (Task<Leaf> call in calls)
        {
            Assert.Equal(TtrpcCode.DeadlineExceeded, (await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience))).Code);
        }
    }

    [Fact]
    public async Task When_the_other_side_goes_calls_fail_and_later_ones_too()
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        await RawFrames.ReadAsync(_pair.Far);
        _pair.Far.Dispose();
        Assert.Equal(TtrpcCode.Unavailable, (await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience))).Code);
        await _client.Closed.WaitAsync(Patience);
        Assert.Equal(TtrpcCode.Unavailable, (await Assert.ThrowsAsync<TtrpcException>(() => CallAsync("m", new Leaf()).WaitAsync(Patience))).Code);
    }

    [Fact]
    public async Task Bytes_that_are_no_frames_end_the_connection()
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        await RawFrames.ReadAsync(_pair.Far);
        await _pair.Far.WriteAsync("HTTP/1.1 400 Bad Request\r\n"u8.ToArray());
        TtrpcException failure = await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience));
        Assert.Equal(TtrpcCode.Unavailable, failure.Code);
        Assert.Contains("1213486160 bytes", failure.Message, StringComparison.Ordinal);
        await _client.Closed.WaitAsync(Patience);
    }

    [Fact]
    public async Task Disposing_fails_the_calls_under_way()
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        await RawFrames.ReadAsync(_pair.Far);
        await _client.DisposeAsync();
        Assert.Equal(TtrpcCode.Unavailable, (await Assert.ThrowsAsync<TtrpcException>(() => call.WaitAsync(Patience))).Code);
        Assert.Equal(TtrpcCode.Unavailable, (await Assert.ThrowsAsync<TtrpcException>(() => CallAsync("m", new Leaf()))).Code);
    }

    private Task Serve(TtrpcService service) => new TtrpcServer([service], log: null).ServeAsync(_pair.Far, CancellationToken.None);

    private Task<Leaf> CallAsync(string method, Leaf request, TimeSpan? timeout = null) => _client.CallAsync<Leaf, Leaf>("s", method, request, timeout);

    private async Task AnswerAsync(uint stream, string hex) => await _pair.Far.WriteAsync(RawFrames.Frame(stream, 2, 0, Convert.FromHexString(hex)));

    private async Task AssertServedAsync(uint stream)
    {
        Task<Leaf> call = CallAsync("m", new Leaf());
        (FrameHeader header, _) = await RawFrames.ReadAsync(_pair.Far);
        Assert.Equal(stream, header.StreamId);
        await AnswerAsync(stream, "12030A017A");
        Assert.Equal("z", (await call.WaitAsync(Patience)).Name);
    }
}
