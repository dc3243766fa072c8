using System.Runtime.InteropServices;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Speaks FUSE over the queues of a file system device, one request at a time, without allocating.</summary>
internal sealed class FsDriver
{
    private const ulong RequestArea = 0x10_0000;
    private const ulong AnswerArea = 0x20_0000;
    private const ulong LaterArea = 0x30_0000;
    private const ulong LaterBytes = 0x200;
    private readonly TestMemory _memory;
    private readonly DriverQueue[] _queues;
    private readonly IGuestTransport _transport;

    public FsDriver(TestMemory memory, IGuestTransport transport, int requestQueues = 1)
    {
        _memory = memory;
        _transport = transport;
        bool eventIndex = (transport.DeviceFeatures & VirtioFeatures.EventIndex) != 0;
        _queues = [.. Enumerable.Range(0, requestQueues + 1).Select(i => new DriverQueue(memory, 0x1000 + (0x1_0000UL * (ulong)i), 64, eventIndex))];
        transport.Start(~0UL, _queues);
    }

    /// <summary>Sends a request; its data, if any, lies at <paramref name="dataBytes"/> from a page boundary.</summary>
    /// <returns>The error of the answer; what follows is at <see cref="Answer{T}"/>.</returns>
    public int Ask<T>(uint operation, ulong node, T body, ReadOnlySpan<byte> data = default, int room = 4096, int queue = 1)
        where T : unmanaged
    {
        int bytes = 40 + Marshal.SizeOf<T>();
        _memory.Write(RequestArea, new fuse_in_header { len = (uint)(bytes + data.Length), opcode = operation, unique = 7, nodeid = node });
        _memory.Write(RequestArea + 40, body);
        data.CopyTo(_memory[RequestArea + 4096, data.Length]);
        if (data.IsEmpty)
        {
            _queues[queue].Add(Piece.In(RequestArea, bytes), Piece.Out(AnswerArea, 16), Piece.Out(AnswerArea + 4096, room));
        }
        else
        {
            _queues[queue].Add(Piece.In(RequestArea, bytes), Piece.In(RequestArea + 4096, data.Length), Piece.Out(AnswerArea, 16), Piece.Out(AnswerArea + 4096, room));
        }

        Length = _transport.Run(queue, _queues[queue]);
        fuse_out_header header = _memory.Read<fuse_out_header>(AnswerArea);
        Assert.Equal((Length, 7UL), (header.len, header.unique));
        return header.error;
    }

    /// <summary>Bytes of the last answer with its header.</summary>
    public uint Length { get; private set; }

    public T Answer<T>()
        where T : unmanaged => _memory.Read<T>(AnswerArea + 4096);

    public Span<byte> AnswerBytes => _memory[AnswerArea + 4096, (int)Length - 16];

    /// <summary>A request that has no answer, on the queue of such.</summary>
    public void Forget(ulong node)
    {
        _memory.Write(RequestArea, new fuse_in_header { len = 48, opcode = FuseAbi.FUSE_FORGET, unique = 7, nodeid = node });
        _memory.Write(RequestArea + 40, 1UL);
        _queues[0].Add(Piece.In(RequestArea, 48));
        Assert.Equal(0u, _transport.Run(0, _queues[0]));
    }

    /// <summary>Sends a request whose answer <see cref="AwaitAnswer"/> waits for; as many as there are slots, 0 to 62.</summary>
    /// <returns>The request's number.</returns>
    public ulong AskLater<T>(uint operation, ulong node, T body, int slot)
        where T : unmanaged
    {
        ulong at = LaterArea + ((ulong)slot * LaterBytes);
        int bytes = 40 + Marshal.SizeOf<T>();
        ulong unique = 1000 + (ulong)slot;
        _memory.Write(at, new fuse_in_header { len = (uint)bytes, opcode = operation, unique = unique, nodeid = node });
        _memory.Write(at + 40, body);
        _memory.Write(at + (LaterBytes / 2), default(fuse_out_header));
        _queues[1].AddIndirect(Piece.In(at, bytes), Piece.Out(at + (LaterBytes / 2), 16));
        if (_queues[1].Publish())
        {
            _transport.Notify(1);
        }

        return unique;
    }

    /// <summary>One answer has come that nobody has taken.</summary>
    public bool IsAnswered => _queues[1].HasUsed;

    /// <summary>Waits for answers, which may come in any order.</summary>
    /// <returns>Their errors.</returns>
    public int[] AwaitAnswers(params int[] slots)
    {
        foreach (int _ in slots)
        {
            Assert.Equal(16u, _queues[1].Await().Length);
        }

        return [.. slots.Select(ErrorOf)];
    }

    /// <summary>Waits for an answer, which must be that of a request sent before.</summary>
    /// <returns>Its error.</returns>
    public int AwaitAnswer(int slot) => AwaitAnswers(slot)[0];

    private int ErrorOf(int slot)
    {
        fuse_out_header header = _memory.Read<fuse_out_header>(LaterArea + ((ulong)slot * LaterBytes) + (LaterBytes / 2));
        Assert.Equal((16u, 1000 + (ulong)slot), (header.len, header.unique));
        return header.error;
    }

    /// <summary>Ends a wait.</summary>
    public void Interrupt(ulong unique)
    {
        _memory.Write(RequestArea, new fuse_in_header { len = 48, opcode = FuseAbi.FUSE_INTERRUPT, unique = 9 });
        _memory.Write(RequestArea + 40, unique);
        _queues[0].Add(Piece.In(RequestArea, 48));
        Assert.Equal(0u, _transport.Run(0, _queues[0]));
    }

    public void Begin() => Assert.Equal(0, Ask(FuseAbi.FUSE_INIT, 0, new fuse_init_in { major = 7, minor = 38, flags = ~0u }));

    /// <summary>Makes a file and opens it.</summary>
    public (ulong Node, ulong Handle) Create(ReadOnlySpan<byte> nameWithNull)
    {
        Assert.Equal(0, Ask(FuseAbi.FUSE_CREATE, FuseAbi.FUSE_ROOT_ID, new fuse_create_in { flags = 0x42, mode = 0x81b0 }, nameWithNull));
        return (Answer<fuse_entry_out>().nodeid, MemoryMarshal.Read<fuse_open_out>(AnswerBytes[128..]).fh);
    }
}
