using System.Buffers.Binary;
using BenchmarkDotNet.Attributes;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio;
using Cnvm.Virtio.Queues;
using Cnvm.Vmm.Memory;

namespace Cnvm.Micro;

/// <summary>
/// A request of three buffers, as virtio-blk reads are, through a split queue: the driver's part (one store into the ring, one of its
/// index), then the device takes it, completes it and publishes it.
/// </summary>
[MemoryDiagnoser]
public class QueueTraffic : IQueueFaults, IDisposable
{
    private const ushort Size = 256;
    private const int Buffers = 3;
    private const ulong Table = 0x1000;
    private const ulong Avail = 0x10000;
    private const ulong Used = 0x20000;
    private const ulong IndirectTables = 0x30000;
    private const ulong Data = 0x10_0000;
    private const ushort NextFlag = 1;
    private const ushort WriteFlag = 2;
    private const ushort IndirectFlag = 4;
    private static readonly uint[] Lengths = [16, 4096, 1];

    private readonly GuestMemory _memory = GuestRamAllocator.Allocate([new RamPiece(0, 32 << 20)]);
    private readonly DescriptorChain _chain = new(DescriptorChain.CapacityFor(Size));
    private SplitQueue _queue = null!;
    private ushort _index;

    /// <summary>The three buffers are listed in a table of their own.</summary>
    [Params(false, true)]
    public bool Indirect { get; set; }

    /// <summary>Interrupts are suppressed by the event index instead of a flag.</summary>
    [Params(false, true)]
    public bool EventIndex { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        for (int head = 0; head < Size / Buffers; head++)
        {
            int first = head * Buffers;
            ulong table = Indirect ? IndirectTables + ((ulong)first * 16) : Table;
            for (int i = 0; i < Buffers; i++)
            {
                int index = Indirect ? i : first + i;
                ushort flags = (ushort)((i < Buffers - 1 ? NextFlag : 0) | (i > 0 ? WriteFlag : 0));
                ulong slot = Indirect ? table + ((ulong)i * 16) : table + ((ulong)index * 16);
                Describe(slot, Data + ((ulong)(first + i) * 4096), Lengths[i], flags, (ushort)(index + 1));
            }

            if (Indirect)
            {
                Describe(Table + ((ulong)first * 16), table, Buffers * 16, IndirectFlag, 0);
            }
        }

        ulong features = VirtioFeatures.Version1
            | (Indirect ? VirtioFeatures.IndirectDescriptors : 0) | (EventIndex ? VirtioFeatures.EventIndex : 0);
        var layout = new QueueState { Size = Size, Enabled = true, DescriptorTable = Table, AvailRing = Avail, UsedRing = Used };
        if (!SplitQueue.TryCreate(_memory, layout, 0, features, this, out SplitQueue? queue, out string? error))
        {
            throw new InvalidOperationException(error);
        }

        _queue = queue;
    }

    [Benchmark]
    public bool PopCompletePublish()
    {
        Offer();
        if (!_queue.TryPop(_chain))
        {
            throw new InvalidOperationException("the queue gave nothing");
        }

        _queue.Complete(_chain, 4097);
        return _queue.Publish();
    }

    /// <summary>What a worker asks when it has run dry.</summary>
    [Benchmark]
    public bool PopEmpty() => _queue.TryPop(_chain);

    public void QueueBroken(int queue, string reason) => throw new InvalidOperationException(reason);

    [GlobalCleanup]
    public void Dispose()
    {
        _chain.Dispose();
        _memory.Dispose();
        GC.SuppressFinalize(this);
    }

    private void Offer()
    {
        ushort head = (ushort)(_index % (Size / Buffers) * Buffers);
        BinaryPrimitives.WriteUInt16LittleEndian(_memory.GetSpan(Avail + 4 + ((ulong)(_index % Size) * 2), 2), head);
        _index++;
        BinaryPrimitives.WriteUInt16LittleEndian(_memory.GetSpan(Avail + 2, 2), _index);
    }

    private void Describe(ulong slot, ulong address, uint length, ushort flags, ushort next)
    {
        Span<byte> descriptor = _memory.GetSpan(slot, 16);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, address);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], flags);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], next);
    }
}
