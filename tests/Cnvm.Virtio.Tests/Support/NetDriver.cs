namespace Cnvm.Virtio.Tests.Support;

/// <summary>Speaks virtio-net: receive buffers of one page, transmit from one place, and the control queue.</summary>
internal sealed class NetDriver
{
    public const int HeaderBytes = 12;
    private const ulong ReceiveArea = 0x20_0000;
    private const ulong TransmitArea = 0x30_0000;
    private const ulong ControlArea = 0x38_0000;
    private readonly TestMemory _memory;
    private readonly DriverQueue[] _queues;
    private readonly Dictionary<(int Pair, ushort Head), ulong> _buffers = [];

    public NetDriver(TestMemory memory, IGuestTransport transport, int pairs = 1, ulong wanted = ~0UL)
    {
        _memory = memory;
        Transport = transport;
        bool eventIndex = (transport.DeviceFeatures & wanted & VirtioFeatures.EventIndex) != 0;
        _queues = [.. Enumerable.Range(0, (2 * pairs) + 1).Select(i => new DriverQueue(memory, 0x1000 + (0x1_0000UL * (ulong)i), 16, eventIndex))];
        Features = transport.Start(wanted, _queues);
    }

    public IGuestTransport Transport { get; set; }

    public ulong Features { get; }

    public DriverQueue Receive(int pair) => _queues[2 * pair];

    public DriverQueue Transmit(int pair) => _queues[(2 * pair) + 1];

    /// <summary>Offers receive buffers of 2 KiB, each in two pieces.</summary>
    public void Offer(int count, int pair = 0)
    {
        for (int i = 0; i < count; i++)
        {
            ulong at = ReceiveArea + (0x800UL * (ulong)((pair * 64) + _buffers.Count));
            _memory[at, 0x800].Fill(0xee);
            ushort head = Receive(pair).Add(Piece.Out(at, 11), Piece.Out(at + 11, 0x800 - 11));
            _buffers[(pair, head)] = at;
        }

        if (Receive(pair).Publish())
        {
            Transport.Notify(2 * pair);
        }
    }

    /// <summary>Waits for a frame; with its header.</summary>
    public byte[] Await(int pair = 0)
    {
        (ushort head, uint length) = Receive(pair).Await();
        Assert.True(_buffers.Remove((pair, head), out ulong at));
        return _memory[at, (int)length].ToArray();
    }

    /// <summary>Sends a frame behind an empty header and waits until the device has taken it.</summary>
    public void Send(ReadOnlySpan<byte> frame, int pair = 0)
    {
        Queue(frame, TransmitArea, pair);
        Transmit(pair).Await();
    }

    public void Queue(ReadOnlySpan<byte> frame, ulong at = TransmitArea, int pair = 0)
    {
        _memory[at, HeaderBytes].Clear();
        frame.CopyTo(_memory[at + 0x40, frame.Length]);
        Transmit(pair).Add(Piece.In(at, HeaderBytes), Piece.In(at + 0x40, frame.Length));
        if (Transmit(pair).Publish())
        {
            Transport.Notify((2 * pair) + 1);
        }
    }

    /// <summary>A control command; true when it is acknowledged.</summary>
    public bool Control(byte group, byte command, params byte[] data)
    {
        DriverQueue queue = _queues[^1];
        byte[] bytes = [group, command, .. data];
        bytes.CopyTo(_memory[ControlArea, bytes.Length]);
        _memory.Write(ControlArea + 0x100, (byte)0xaa);
        queue.Add(Piece.In(ControlArea, 2), Piece.In(ControlArea + 2, data.Length), Piece.Out(ControlArea + 0x100, 1));
        Transport.Run(_queues.Length - 1, queue);
        return _memory.Read<byte>(ControlArea + 0x100) == 0;
    }
}
