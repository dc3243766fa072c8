using System.Buffers.Binary;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.Vsock;
using Cnvm.Vmm.Memory;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Micro;

/// <summary>
/// A connection through virtio-vsock on its way between guest memory and a Unix socket of the host, in packets of 4 KiB: the driver's part,
/// the device's thread, and a host program that does nothing with the bytes.
/// </summary>
[MemoryDiagnoser]
public class VsockTraffic : IVirtioInterrupts, IDisposable
{
    /// <summary>Packets of one round, which keep within the credit of 128 KiB.</summary>
    public const int Packets = 16;

    private const int Payload = 4096 - HeaderBytes;
    private const int HeaderBytes = 44;
    private const ushort QueueSize = 64;
    private const ulong Area = 0x10_0000;
    private const ulong BufferStride = 4096;
    private const uint Port = 1024;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-vsock-bench-").FullName;
    private readonly GuestMemory _memory = GuestRamAllocator.Allocate([new RamPiece(0, 4 << 20)]);
    private readonly byte[] _bytes = new byte[Packets * Payload];
    private readonly EventFd[] _doorbells = [new EventFd(), new EventFd()];
    private readonly ushort[] _offered = new ushort[2];
    private readonly ushort[] _taken = new ushort[2];
    private VsockDevice _device = null!;
    private Socket _client = null!;
    private uint _hostPort;
    private uint _received;

    [GlobalSetup]
    public void SetUp()
    {
        string path = Path.Combine(_folder, "v");
        _device = new VsockDevice(new VsockOptions { Id = "_vsock0", Cid = 3, SocketPath = path }, NullLogger.Instance);
        _device.Attach(this);
        _device.Activate(VirtioFeatures.Version1);
        for (int i = 0; i < 2; i++)
        {
            var layout = new QueueState { Size = QueueSize, Enabled = true, DescriptorTable = Ring(i), AvailRing = Ring(i) + 0x1000, UsedRing = Ring(i) + 0x2000 };
            if (!SplitQueue.TryCreate(_memory, layout, i, VirtioFeatures.Version1, this, out SplitQueue? queue, out string? error))
            {
                throw new InvalidOperationException(error);
            }

            _device.StartQueue(i, new QueueResources(queue, _memory, this, _doorbells[i]));
        }

        Offer(0, QueueSize);
        _client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _client.Connect(new UnixDomainSocketEndPoint(path));
        _client.Send("CONNECT 1024\n"u8);
        _hostPort = BinaryPrimitives.ReadUInt32LittleEndian(_memory.GetSpan(AwaitPacket() + 16, 4));
        Send(operation: 2, payload: 0, count: 1);
        Receive(_client.Receive(_bytes.AsSpan(0, 64)));
    }

    /// <summary>64 KiB from the guest to the host program.</summary>
    [Benchmark(OperationsPerInvoke = Packets)]
    public void GuestToHost()
    {
        Send(operation: 5, Payload, Packets);
        for (int done = 0; done < Packets * Payload;)
        {
            done += Receive(_client.Receive(_bytes));
        }

        TakeCredit();
    }

    /// <summary>64 KiB from the host program to the guest.</summary>
    [Benchmark(OperationsPerInvoke = Packets)]
    public void HostToGuest()
    {
        _client.Send(_bytes);
        for (int done = 0; done < _bytes.Length;)
        {
            ulong packet = AwaitPacket();
            done += (int)BinaryPrimitives.ReadUInt32LittleEndian(_memory.GetSpan(packet + 24, 4));
        }

        _received += (uint)_bytes.Length;
        Send(operation: 6, payload: 0, count: 1);
    }

    public void SignalQueue(int queue)
    {
        // The driver here looks at its rings all the time.
    }

    public void SignalConfiguration()
    {
        // No part of this device changes its configuration.
    }

    public void QueueBroken(int queue, string reason) => throw new InvalidOperationException(reason);

    [GlobalCleanup]
    public void Dispose()
    {
        _client?.Dispose();
        _device?.Dispose();
        _memory.Dispose();
        Array.ForEach(_doorbells, d => d.Dispose());
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    private static int Receive(int bytes) => bytes > 0 ? bytes : throw new InvalidOperationException("the device closed the connection");

    private static ulong Ring(int queue) => 0x1_0000 * ((ulong)queue + 1);

    private static ulong Buffer(int queue, int slot) => Area + ((((ulong)queue * QueueSize) + (ulong)slot) * BufferStride);

    private ref ushort Used(int queue) => ref System.Runtime.InteropServices.MemoryMarshal.AsRef<ushort>(_memory.GetSpan(Ring(queue) + 0x2002, 2));

    /// <summary>Makes the next slots of a ring available, each a buffer of one page, and rings the doorbell.</summary>
    private void Offer(int queue, int count, int bytes = (int)BufferStride)
    {
        for (int i = 0; i < count; i++)
        {
            int slot = _offered[queue] % QueueSize;
            Span<byte> descriptor = _memory.GetSpan(Ring(queue) + ((ulong)slot * 16), 16);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, Buffer(queue, slot));
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], (uint)bytes);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], queue == 0 ? 2u : 0u);
            BinaryPrimitives.WriteUInt16LittleEndian(_memory.GetSpan(Ring(queue) + 0x1004 + ((ulong)slot * 2), 2), (ushort)slot);
            _offered[queue]++;
        }

        Volatile.Write(ref System.Runtime.InteropServices.MemoryMarshal.AsRef<ushort>(_memory.GetSpan(Ring(queue) + 0x1002, 2)), _offered[queue]);
        _doorbells[queue].Signal();
    }

    /// <summary>Waits for a packet and returns where it lies; it stays there until the ring has gone round.</summary>
    private ulong AwaitPacket()
    {
        while (Volatile.Read(ref Used(0)) == _taken[0])
        {
            Thread.Yield();
        }

        int slot = (int)BinaryPrimitives.ReadUInt32LittleEndian(_memory.GetSpan(Ring(0) + 0x2004 + ((ulong)(_taken[0] % QueueSize) * 8), 4));
        _taken[0]++;
        Offer(0, 1);
        return Buffer(0, slot);
    }

    /// <summary>Drops the credit updates that have come.</summary>
    private void TakeCredit()
    {
        while (Volatile.Read(ref Used(0)) != _taken[0])
        {
            AwaitPacket();
        }
    }

    private void Send(ushort operation, int payload, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Span<byte> header = _memory.GetSpan(Buffer(1, (_offered[1] + i) % QueueSize), HeaderBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(header, 3);
            BinaryPrimitives.WriteUInt64LittleEndian(header[8..], 2);
            BinaryPrimitives.WriteUInt32LittleEndian(header[16..], Port);
            BinaryPrimitives.WriteUInt32LittleEndian(header[20..], _hostPort);
            BinaryPrimitives.WriteUInt32LittleEndian(header[24..], (uint)payload);
            BinaryPrimitives.WriteUInt16LittleEndian(header[28..], 1);
            BinaryPrimitives.WriteUInt16LittleEndian(header[30..], operation);
            BinaryPrimitives.WriteUInt32LittleEndian(header[32..], 0);
            BinaryPrimitives.WriteUInt32LittleEndian(header[36..], 1 << 20);
            BinaryPrimitives.WriteUInt32LittleEndian(header[40..], _received);
        }

        Offer(1, count, HeaderBytes + payload);
        _taken[1] += (ushort)count;
        while (Volatile.Read(ref Used(1)) != _taken[1])
        {
            Thread.Yield();
        }
    }
}
