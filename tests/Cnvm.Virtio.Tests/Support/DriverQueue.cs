using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>The driver's side of a split queue, written from the specification and sharing nothing with the device's side.</summary>
public sealed class DriverQueue
{
    private readonly TestMemory _memory;
    private readonly bool _eventIndex;
    private readonly Stack<ushort> _free = new();
    private readonly Dictionary<ushort, ushort[]> _taken = [];
    private readonly ulong _indirectArea;
    private ushort _availIndex;
    private ushort _lastUsed;
    private ushort _kicked;

    public DriverQueue(TestMemory memory, ulong at, ushort size, bool eventIndex)
    {
        _memory = memory;
        _eventIndex = eventIndex;
        Size = size;
        DescriptorTable = at;
        AvailRing = at + (16UL * size);
        UsedRing = (AvailRing + 6 + (2UL * size) + 3) & ~3UL;
        End = UsedRing + 6 + (8UL * size);
        _indirectArea = (End + 15) & ~15UL;
        memory[at, (int)(End - at)].Clear();
        for (int i = size - 1; i >= 0; i--)
        {
            _free.Push((ushort)i);
        }
    }

    public ushort Size { get; }

    public ulong DescriptorTable { get; }

    public ulong AvailRing { get; }

    public ulong UsedRing { get; }

    public ulong End { get; }

    public int FreeDescriptors => _free.Count;

    public QueueState Layout => new()
    {
        Size = Size,
        Enabled = true,
        DescriptorTable = DescriptorTable,
        AvailRing = AvailRing,
        UsedRing = UsedRing,
    };

    public ushort UsedIndex => Volatile.Read(ref _memory.Guest.GetSpan(UsedRing + 2, 2).As<ushort>());

    public bool HasUsed => UsedIndex != _lastUsed;

    /// <summary>Writes one descriptor.</summary>
    public void SetDescriptor(ulong table, int index, ulong address, uint length, ushort flags, ushort next)
    {
        ulong at = table + (16UL * (ulong)index);
        _memory.Write(at, address);
        _memory.Write(at + 8, length);
        _memory.Write(at + 12, flags);
        _memory.Write(at + 14, next);
    }

    /// <summary>Puts a chain of direct descriptors into the available ring, not yet published.</summary>
    public ushort Add(params Piece[] pieces)
    {
        ushort[] descriptors = new ushort[pieces.Length];
        for (int i = 0; i < pieces.Length; i++)
        {
            descriptors[i] = _free.Pop();
        }

        for (int i = 0; i < pieces.Length; i++)
        {
            bool more = i + 1 < pieces.Length;
            ushort flags = (ushort)((pieces[i].Writable ? 2 : 0) | (more ? 1 : 0));
            SetDescriptor(DescriptorTable, descriptors[i], pieces[i].Address, pieces[i].Length, flags, more ? descriptors[i + 1] : (ushort)0);
        }

        return Offer(descriptors);
    }

    /// <summary>Like <see cref="Add"/> with one indirect descriptor.</summary>
    public ushort AddIndirect(params Piece[] pieces)
    {
        ushort head = _free.Pop();
        ulong table = _indirectArea + (head * 16UL * 64);
        for (int i = 0; i < pieces.Length; i++)
        {
            bool more = i + 1 < pieces.Length;
            ushort flags = (ushort)((pieces[i].Writable ? 2 : 0) | (more ? 1 : 0));
            SetDescriptor(table, i, pieces[i].Address, pieces[i].Length, flags, (ushort)(more ? i + 1 : 0));
        }

        SetDescriptor(DescriptorTable, head, table, 16 * (uint)pieces.Length, 4, 0);
        return Offer([head]);
    }

    /// <summary>Puts a raw head into the available ring.</summary>
    public void OfferRaw(ushort head)
    {
        _memory.Write(AvailRing + 4 + (2UL * (ulong)(_availIndex % Size)), head);
        _availIndex++;
    }

    /// <summary>Publishes what was added; true when the device wants to be notified.</summary>
    public bool Publish()
    {
        Volatile.Write(ref _memory.Guest.GetSpan(AvailRing + 2, 2).As<ushort>(), _availIndex);
        Interlocked.MemoryBarrier();
        ushort old = _kicked;
        _kicked = _availIndex;
        if (_eventIndex)
        {
            ushort wanted = Volatile.Read(ref _memory.Guest.GetSpan(UsedRing + 4 + (8UL * Size), 2).As<ushort>());
            return (ushort)(_availIndex - wanted - 1) < (ushort)(_availIndex - old);
        }

        return (Volatile.Read(ref _memory.Guest.GetSpan(UsedRing, 2).As<ushort>()) & 1) == 0;
    }

    /// <summary>Takes one used element; the descriptors are free again.</summary>
    public bool TryTake(out ushort head, out uint length)
    {
        if (!HasUsed)
        {
            head = 0;
            length = 0;
            return false;
        }

        ulong at = UsedRing + 4 + (8UL * (ulong)(_lastUsed % Size));
        head = (ushort)_memory.Read<uint>(at);
        length = _memory.Read<uint>(at + 4);
        _lastUsed++;
        if (_eventIndex)
        {
            WantInterruptAfter(_lastUsed);
        }

        Assert.True(_taken.Remove(head, out ushort[]? descriptors), $"head {head} came back but is not in flight");
        foreach (ushort descriptor in descriptors)
        {
            _free.Push(descriptor);
        }

        return true;
    }

    /// <summary>used_event: interrupt when the used index passes this.</summary>
    public void WantInterruptAfter(ushort index) => _memory.Write(AvailRing + 4 + (2UL * Size), index);

    /// <summary>Waits for one used element, at most ten seconds.</summary>
    public (ushort Head, uint Length) Await()
    {
        long deadline = Environment.TickCount64 + 10_000;
        while (true)
        {
            if (TryTake(out ushort head, out uint length))
            {
                return (head, length);
            }

            Assert.True(Environment.TickCount64 < deadline, "no used buffer within ten seconds");
            Thread.Yield();
        }
    }

    private ushort Offer(ushort[] descriptors)
    {
        _taken.Add(descriptors[0], descriptors);
        OfferRaw(descriptors[0]);
        return descriptors[0];
    }
}
