using System.Net.Sockets;
using Cnvm.Fuzz;
using Cnvm.Linux;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Net;

/// <summary>Whatever a program at a stream socket sends, reads and does.</summary>
public sealed unsafe class StreamFuzzTests : IDisposable
{
    private const int BufferBytes = 70_000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly StreamPeer _peer = new();
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferBytes, pinned: true);

    public void Dispose() => _peer.Dispose();

    [Fact]
    public void Noise_costs_the_connection_at_most() => SeededRuns.Repeat(6, seed =>
    {
        Random random = new(seed);
        using StreamBackend backend = StreamBackend.Connect("_net0", _peer.Path, NullLogger.Instance);
        _peer.Accept();
        _peer.Connection.Blocking = false;
        IoVec* vectors = stackalloc IoVec[2];
        fixed (byte* at = _buffer)
        {
            for (int step = 0; step < 60; step++)
            {
                Send(random);
                int room = 12 + random.Next(BufferBytes - 12);
                Cut(vectors, at, room, random);
                for (int i = 0; i < 8; i++)
                {
                    nint got = backend.Read(0, vectors, 2);
                    Assert.True(got == -Errno.EAGAIN || (got >= 26 && got <= room), $"{got} bytes in {room}");
                }

                Cut(vectors, at, random.Next(26, 3000), random);
                _ = backend.Write(0, vectors, 2);
            }
        }

        // It goes on with whoever comes next.
        _peer.Connection.Dispose();
        _peer.Accept();
        Assert.True(SpinWait.SpinUntil(() => backend.IsConnected, Patience));
        byte[] frame = [.. Enumerable.Range(0, 60).Select(i => (byte)i)];
        _peer.Send(StreamPeer.Packed(frame));
        fixed (byte* at = _buffer)
        {
            IoVec vector = new() { Base = (nint)at, Length = BufferBytes };
            IoVec* one = &vector;
            long deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
            nint got;
            while ((got = backend.Read(0, one, 1)) == -Errno.EAGAIN && Environment.TickCount64 < deadline)
            {
                Thread.Yield();
            }

            Assert.Equal(72, got);
        }

        Assert.Equal(frame, _buffer[12..72]);
    });

    private static void Cut(IoVec* vectors, byte* at, int bytes, Random random)
    {
        int first = random.Next(bytes + 1);
        vectors[0] = new IoVec { Base = (nint)at, Length = (nuint)first };
        vectors[1] = new IoVec { Base = (nint)at + first, Length = (nuint)(bytes - first) };
    }

    private void Send(Random random)
    {
        byte[] bytes = random.Next(6) switch
        {
            0 => [0, 0, 0, (byte)random.Next(20)],
            1 => StreamPeer.Packed(new byte[random.Next(70_000)]),
            2 => new byte[random.Next(10)],
            _ => StreamPeer.Packed(new byte[random.Next(14, 1600)]),
        };
        if (random.Next(60) == 0)
        {
            random.NextBytes(bytes);
        }

        try
        {
            _ = _peer.Connection.Send(bytes.AsSpan(0, random.Next(4) == 0 ? random.Next(bytes.Length + 1) : bytes.Length));
            if (random.Next(3) == 0)
            {
                _ = _peer.Connection.Receive(new byte[random.Next(1, 5000)]);
            }

            if (random.Next(40) == 0)
            {
                _peer.Connection.Shutdown(SocketShutdown.Send);
            }
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.ConnectionReset or SocketError.Shutdown or SocketError.NotConnected)
        {
            // The device has closed the connection, or there is no room.
        }
    }
}
