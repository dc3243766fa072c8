using System.Net.Sockets;
using Cnvm.Linux;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Net;

/// <summary>Frames cut out of a stream and put into one, without a device: what a read or write returns is decided by what the peer has done.</summary>
public sealed unsafe class StreamBackendTests : IDisposable
{
    private const int BufferBytes = 2048;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly StreamPeer _peer = new();
    private readonly byte[] _buffer = GC.AllocateArray<byte>(70_000, pinned: true);

    public void Dispose() => _peer.Dispose();

    [Fact]
    public void Frames_come_out_as_they_went_in_wherever_the_stream_is_cut()
    {
        using StreamBackend backend = Connect();
        byte[] first = Frame(60, 1);
        byte[] second = Frame(75, 2);
        byte[] stream = [.. StreamPeer.Packed(first), .. StreamPeer.Packed(second)];
        for (int cut = 1; cut < stream.Length; cut++)
        {
            _peer.Send(stream.AsSpan(0, cut));
            List<byte[]> frames = ReadAll(backend);
            Assert.Equal(cut < 64 ? 0 : 1, frames.Count);
            _peer.Send(stream.AsSpan(cut));
            frames.AddRange(ReadAll(backend));
            Assert.Equal([first, second], frames);
        }

        // And every byte alone.
        List<byte[]> all = [];
        foreach (byte one in stream)
        {
            _peer.Send(one);
            all.AddRange(ReadAll(backend));
        }

        Assert.Equal([first, second], all);
    }

    [Fact]
    public void A_frame_is_led_by_an_empty_header_however_the_buffer_is_cut()
    {
        using StreamBackend backend = Connect();
        byte[] frame = Frame(1000, 3);
        foreach (int cut in (int[])[1, 11, 12, 13, 500, 1011, 1012])
        {
            foreach (int part in (int[])[0, 4, 700])
            {
                byte[] bytes = StreamPeer.Packed(frame);
                _peer.Send(bytes.AsSpan(0, part));
                Array.Fill(_buffer, (byte)0xee);
                nint got = part == 0 ? 0 : Read(backend, cut, BufferBytes - cut);
                Assert.Equal(part == 0 ? 0 : -Errno.EAGAIN, got);
                _peer.Send(bytes.AsSpan(part));
                Assert.Equal(1012, Read(backend, cut, BufferBytes - cut));
                Assert.Equal([.. new byte[12], .. frame], _buffer.AsSpan(0, 1012));
                Assert.Equal(0xee, _buffer[1012]);
            }
        }
    }

    [Fact]
    public void What_does_not_fit_or_is_no_frame_is_left_out_and_the_next_one_comes()
    {
        using StreamBackend backend = Connect();
        byte[] frame = Frame(BufferBytes - 12, 4);
        _peer.Send([.. StreamPeer.Packed(Frame(BufferBytes - 11, 5)), .. StreamPeer.Packed(Frame(13, 6)), .. StreamPeer.Packed(frame)]);
        Assert.Equal([frame], ReadAll(backend));
        _peer.Send([.. StreamPeer.Packed(Frame(65_553, 7)), .. StreamPeer.Packed(Frame(14, 8))]);
        Assert.Equal([Frame(14, 8)], ReadAll(backend));
        Assert.True(backend.IsConnected);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(65_554u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_peer_that_announces_what_cannot_be_is_left_and_looked_for_again(uint length)
    {
        Lines log = new();
        using StreamBackend backend = Connect(log);
        using ManualResetEventSlim changed = new();
        backend.ConnectionChanged = changed.Set;
        _peer.Send([.. StreamPeer.Packed(Frame(60, 1)), .. BitConverter.GetBytes(length).Reverse(), 1, 2, 3]);
        Assert.Equal([Frame(60, 1)], ReadAll(backend));
        Assert.True(_peer.IsClosed());
        Assert.True(changed.Wait(Patience));
        Assert.False(backend.IsConnected);
        Assert.Equal(-Errno.ENOTCONN, Write(backend, Frame(60, 1)));
        Assert.Equal(-Errno.EAGAIN, Read(backend, 12, 2000));

        changed.Reset();
        _peer.Accept();
        Assert.True(changed.Wait(Patience));
        Assert.True(backend.IsConnected);
        Assert.Equal(1UL, backend.Reconnects);
        string lost = Assert.Single(log.All, l => l.Contains("is gone", StringComparison.Ordinal));
        Assert.Contains($"announces a frame of {length} bytes", lost, StringComparison.Ordinal);
        _peer.Send(StreamPeer.Packed(Frame(61, 2)));
        Assert.Equal([Frame(61, 2)], ReadAll(backend));
    }

    [Fact]
    public void A_frame_that_was_cut_off_with_the_connection_is_forgotten()
    {
        using StreamBackend backend = Connect();
        using SemaphoreSlim changed = new(0);
        backend.ConnectionChanged = () => changed.Release();
        _peer.Send(StreamPeer.Packed(Frame(60, 1)).AsSpan(0, 50));
        Assert.Empty(ReadAll(backend));
        _peer.Connection.Dispose();
        Assert.True(changed.Wait(Patience));
        _peer.Accept();
        Assert.True(changed.Wait(Patience));
        _peer.Send([.. StreamPeer.Packed(Frame(80, 2))]);
        Assert.Equal([Frame(80, 2)], ReadAll(backend));
    }

    [Fact]
    public void A_full_socket_takes_nothing_and_what_it_took_arrives_whole()
    {
        using StreamBackend backend = Connect();
        int taken = 0;
        nint sent;
        while ((sent = Write(backend, Frame(60_000 + taken, taken))) > 0)
        {
            Assert.Equal(12 + 60_000 + taken, sent);
            taken++;
        }

        Assert.Equal(-Errno.EAGAIN, sent);
        Assert.True(taken > 1);
        Span<PollEntry> room = [new PollEntry { Fd = backend.GetRoomFd(0), Events = PollEntry.In }];
        Assert.Equal(0, Poll.Wait(room, 0));

        // Nothing else is sent: the rest of the last frame comes by itself.
        for (int i = 0; i < taken; i++)
        {
            Assert.Equal(Frame(60_000 + i, i), _peer.Receive());
        }

        Assert.Equal(1, Poll.Wait(room, 20_000));
        Assert.Equal(72, Write(backend, Frame(60, 9)));
        Assert.Equal(Frame(60, 9), _peer.Receive());
    }

    [Fact]
    public void Whoever_waits_for_room_hears_that_there_will_be_none()
    {
        using StreamBackend backend = Connect();
        while (Write(backend, Frame(60_000, 1)) > 0)
        {
        }

        Span<PollEntry> room = [new PollEntry { Fd = backend.GetRoomFd(0), Events = PollEntry.In }];
        Assert.Equal(0, Poll.Wait(room, 0));
        _peer.Leave();
        Assert.Equal(1, Poll.Wait(room, 20_000));
        Assert.True(SpinWait.SpinUntil(() => !backend.IsConnected, Patience));
        Assert.Equal(-Errno.ENOTCONN, Write(backend, Frame(60, 1)));
        Assert.Equal(0, Poll.Wait(room, 0));

        _peer.Listen();
        _peer.Accept();
        Assert.True(SpinWait.SpinUntil(() => backend.IsConnected, Patience));
        Assert.Equal(72, Write(backend, Frame(60, 1)));
        Assert.Equal(Frame(60, 1), _peer.Receive());
    }

    [Fact]
    public void More_pieces_than_a_system_call_takes_are_one_frame()
    {
        using StreamBackend backend = Connect();
        IoVec* pieces = stackalloc IoVec[IoVec.MaxCount];
        for (int i = 0; i < IoVec.MaxCount; i++)
        {
            _buffer[i] = (byte)(i * 7);
            pieces[i] = new IoVec { Base = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _buffer[i]), Length = 1 };
        }

        byte[] frame = _buffer[12..IoVec.MaxCount];
        Assert.Equal(IoVec.MaxCount, backend.Write(0, pieces, IoVec.MaxCount));
        Assert.Equal(frame, _peer.Receive());

        _peer.Send([.. StreamPeer.Packed(frame), .. StreamPeer.Packed(Frame(70, 1))]);
        Array.Clear(_buffer);
        Assert.Equal(IoVec.MaxCount, backend.Read(0, pieces, IoVec.MaxCount));
        Assert.Equal([.. new byte[12], .. frame], _buffer.AsSpan(0, IoVec.MaxCount));
        Assert.Equal([Frame(70, 1)], ReadAll(backend));
    }

    [Fact]
    public void Nobody_there_is_an_error_that_says_what_to_do()
    {
        _peer.Leave();
        NetBackendException e = Assert.Throws<NetBackendException>(() => StreamBackend.Connect("_net0", _peer.Path, NullLogger.Instance));
        Assert.Contains(_peer.Path, e.Message, StringComparison.Ordinal);
        Assert.Contains("passt -s " + _peer.Path, e.Message, StringComparison.Ordinal);
        e = Assert.Throws<NetBackendException>(() => StreamBackend.Connect("_net0", "/" + new string('a', 200), NullLogger.Instance));
        Assert.Contains("107", e.Message, StringComparison.Ordinal);
    }

    private static byte[] Frame(int bytes, int seed)
    {
        byte[] frame = new byte[bytes];
        for (int i = 0; i < bytes; i++)
        {
            frame[i] = (byte)((i * 3) + (i >> 8) + seed);
        }

        return frame;
    }

    private StreamBackend Connect(ILogger? logger = null)
    {
        StreamBackend backend = StreamBackend.Connect("_net0", _peer.Path, logger ?? NullLogger.Instance);
        _peer.Accept();
        Assert.True(backend.IsConnected);
        return backend;
    }

    private List<byte[]> ReadAll(StreamBackend backend)
    {
        List<byte[]> frames = [];
        nint got;
        int misses = 0;

        // A frame that came in pieces, and one that was left out, end a read before the stream does.
        while (misses < 3)
        {
            got = Read(backend, 12, BufferBytes - 12);
            if (got < 0)
            {
                Assert.Equal(-Errno.EAGAIN, got);
                misses++;
                continue;
            }

            Assert.Equal(new byte[12], _buffer[..12]);
            frames.Add(_buffer[12..(int)got]);
        }

        return frames;
    }

    private nint Read(StreamBackend backend, int first, int second)
    {
        fixed (byte* p = _buffer)
        {
            IoVec* pieces = stackalloc IoVec[2];
            pieces[0] = new IoVec { Base = (nint)p, Length = (nuint)first };
            pieces[1] = new IoVec { Base = (nint)(p + first), Length = (nuint)second };
            return backend.Read(0, pieces, 2);
        }
    }

    private nint Write(StreamBackend backend, byte[] frame)
    {
        Array.Clear(_buffer, 0, 12);
        frame.CopyTo(_buffer, 12);
        fixed (byte* p = _buffer)
        {
            IoVec* pieces = stackalloc IoVec[2];
            pieces[0] = new IoVec { Base = (nint)p, Length = 20 };
            pieces[1] = new IoVec { Base = (nint)(p + 20), Length = (nuint)(frame.Length - 8) };
            return backend.Write(0, pieces, 2);
        }
    }

    private sealed class Lines : ILogger
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> All
        {
            get
            {
                lock (_lines)
                {
                    return [.. _lines];
                }
            }
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines)
            {
                _lines.Add(formatter(state, exception));
            }
        }
    }
}
