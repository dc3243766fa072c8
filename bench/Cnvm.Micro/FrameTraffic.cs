using System.Buffers.Binary;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using Cnvm.Virtio.Net;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Micro;

/// <summary>A frame through virtio-net and a stream socket, as passt serves one, the queues' threads included.</summary>
[MemoryDiagnoser]
public class FrameTraffic : IDisposable
{
    private const int FrameBytes = 1000;
    private const int LengthBytes = 4;
    private const int HeaderBytes = 12;
    private const int BufferBytes = 2048;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const ulong ReceiveBuffer = 0x10_0000;
    private const ulong TransmitBuffer = 0x11_0000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-net-bench-").FullName;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly byte[] _packed = new byte[LengthBytes + FrameBytes];
    private readonly byte[] _received = new byte[LengthBytes + FrameBytes];
    private DeviceRings _rings = null!;
    private Socket _peer = null!;

    [GlobalSetup]
    public void SetUp()
    {
        string path = Path.Combine(_folder, "net");
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(1);
        StreamBackend backend = StreamBackend.Connect("_net0", path, NullLogger.Instance);
        _peer = _listener.Accept();
        _rings = new DeviceRings(new NetDevice(new NetOptions { Id = "_net0" }, backend, NullLogger.Instance), queues: 2);
        BinaryPrimitives.WriteInt32BigEndian(_packed, FrameBytes);
    }

    [Benchmark]
    public void Send()
    {
        _rings.Describe(TransmitQueue, 0, TransmitBuffer, HeaderBytes + FrameBytes, isWritable: false, isLast: true);
        _rings.Offer(TransmitQueue);
        _rings.Await(TransmitQueue);
        for (int done = 0; done < _received.Length;)
        {
            int count = _peer.Receive(_received.AsSpan(done));
            done += count > 0 ? count : throw new InvalidOperationException("the device closed the connection");
        }
    }

    [Benchmark]
    public void Receive()
    {
        _rings.Describe(ReceiveQueue, 0, ReceiveBuffer, BufferBytes, isWritable: true, isLast: true);
        _rings.Offer(ReceiveQueue);
        _peer.Send(_packed);
        if (_rings.Await(ReceiveQueue) != HeaderBytes + FrameBytes)
        {
            throw new InvalidOperationException("another frame came");
        }
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _rings?.Dispose();
        _peer?.Dispose();
        _listener.Dispose();
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }
}
