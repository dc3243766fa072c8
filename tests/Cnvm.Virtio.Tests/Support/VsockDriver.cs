namespace Cnvm.Virtio.Tests.Support;

/// <summary>Speaks virtio-vsock: receive buffers of one page, one packet to transmit at a time, event buffers.</summary>
internal sealed class VsockDriver
{
    public const int BufferBytes = 4096;
    private const ulong ReceiveArea = 0x20_0000;
    private const ulong TransmitArea = 0x30_0000;
    private const ulong EventArea = 0x3f_0000;
    private const int Buffers = 64;
    private readonly TestMemory _memory;
    private readonly DriverQueue[] _queues;
    private readonly Dictionary<ushort, ulong> _offered = [];
    private readonly Stack<ulong> _spare = new(Enumerable.Range(0, Buffers).Select(i => ReceiveArea + ((ulong)i * BufferBytes)));

    public VsockDriver(TestMemory memory, IGuestTransport transport, ulong wanted = ~0UL)
    {
        _memory = memory;
        bool eventIndex = (transport.DeviceFeatures & wanted & VirtioFeatures.EventIndex) != 0;
        _queues = [.. Enumerable.Range(0, 3).Select(i => new DriverQueue(memory, 0x1000 + (0x1_0000UL * (ulong)i), 128, eventIndex))];
        Transport = transport;
        transport.Start(wanted, _queues);
    }

    public IGuestTransport Transport { get; set; }

    public DriverQueue Receiving => _queues[0];

    public DriverQueue Transmitting => _queues[1];

    public DriverQueue Events => _queues[2];

    /// <summary>Offers receive buffers, each in two pieces.</summary>
    public void Offer(int count = 8)
    {
        for (int i = 0; i < count; i++)
        {
            ulong at = _spare.Pop();
            _offered[Receiving.Add(Piece.Out(at, 20), Piece.Out(at + 20, BufferBytes - 20))] = at;
        }

        Notify(0, Receiving);
    }

    /// <summary>Waits for a packet; its buffer is offered again.</summary>
    public VsockPacket Await(ushort operation)
    {
        VsockPacket packet = Await();
        Assert.Equal(operation, packet.Operation);
        return packet;
    }

    public VsockPacket Await()
    {
        (ushort head, uint length) = Receiving.Await();
        Assert.True(_offered.Remove(head, out ulong at));
        VsockPacket packet = VsockPacket.Parse(_memory[at, (int)length]);
        _spare.Push(at);
        Offer(1);
        return packet;
    }

    /// <summary>Sends a packet and waits until the device has taken it.</summary>
    public void Send(VsockPacket packet) => Send(packet.ToArray());

    public void Send(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_memory[TransmitArea, bytes.Length]);
        int first = Math.Min(30, bytes.Length);
        if (first == bytes.Length)
        {
            Transmitting.Add(Piece.In(TransmitArea, first));
        }
        else
        {
            Transmitting.Add(Piece.In(TransmitArea, first), Piece.In(TransmitArea + (ulong)first, bytes.Length - first));
        }

        Notify(1, Transmitting);
        Transmitting.Await();
    }

    public void OfferEvent()
    {
        Events.Add(Piece.Out(EventArea, 4));
        _memory.Write(EventArea, 0xffff_ffffu);
        Notify(2, Events);
    }

    public uint AwaitEvent()
    {
        Assert.Equal(4u, Events.Await().Length);
        return _memory.Read<uint>(EventArea);
    }

    private void Notify(int index, DriverQueue queue)
    {
        if (queue.Publish())
        {
            Transport.Notify(index);
        }
    }
}
