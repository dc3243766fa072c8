namespace Cnvm.Virtio.Tests.Support;

/// <summary>Speaks virtio-blk over one queue of a transport.</summary>
internal sealed class BlockDriver
{
    public const ulong Header = 0x8_0000;
    public const ulong Status = 0x8_1000;
    public const ulong Data = 0x10_0000;
    public const ulong AllFeatures = ~0UL;
    private readonly TestMemory _memory;
    private readonly int _index;

    public BlockDriver(TestMemory memory, IGuestTransport transport, ulong wanted = AllFeatures, int queues = 1, int index = 0)
    {
        _memory = memory;
        _index = index;
        Transport = transport;
        DriverQueue[] all = new DriverQueue[queues];
        bool eventIndex = (transport.DeviceFeatures & wanted & VirtioFeatures.EventIndex) != 0;
        for (int i = 0; i < queues; i++)
        {
            all[i] = new DriverQueue(memory, 0x1000 + (0x1_0000UL * (ulong)i), 16, eventIndex);
        }

        Queue = all[index];
        Features = transport.Start(wanted, all);
    }

    public IGuestTransport Transport { get; }

    public DriverQueue Queue { get; }

    public ulong Features { get; }

    public byte Read(ulong sector, int bytes, ulong at = Data) => Request(0, sector, Piece.Out(at, bytes));

    public byte Write(ulong sector, ReadOnlySpan<byte> bytes, ulong at = Data)
    {
        bytes.CopyTo(_memory[at, bytes.Length]);
        return Request(1, sector, Piece.In(at, bytes.Length));
    }

    public byte Flush() => Request(4, 0);

    public byte Range(uint type, ulong sector, uint count, uint flags)
    {
        _memory.Write(Data, sector);
        _memory.Write(Data + 8, count);
        _memory.Write(Data + 12, flags);
        return Request(type, 0, Piece.In(Data, 16));
    }

    public byte Request(uint type, ulong sector, params Piece[] data)
    {
        Submit(type, sector, data);
        Transport.Run(_index, Queue);
        return _memory.Read<byte>(Status);
    }

    public void Submit(uint type, ulong sector, params Piece[] data)
    {
        _memory.Write(Header, type);
        _memory.Write(Header + 4, 0u);
        _memory.Write(Header + 8, sector);
        _memory.Write(Status, (byte)0xaa);
        Queue.Add([Piece.In(Header, 16), .. data, Piece.Out(Status, 1)]);
    }

    public byte[] Bytes(int count) => _memory[Data, count].ToArray();
}
