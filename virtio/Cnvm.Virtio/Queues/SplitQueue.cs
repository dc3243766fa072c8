using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Virtio.Queues;

/// <summary>
/// The device's side of a split virtqueue (virtio 1.2 §2.7). One thread at a time. Nothing that the driver writes into its
/// rings makes a method throw: nonsense breaks the queue, which then yields nothing until the device is reset.
/// </summary>
public sealed unsafe class SplitQueue
{
    /// <summary>Most bytes in either half of a chain: what the kernel moves in one call (MAX_RW_COUNT).</summary>
    public const uint MaxChainBytes = 0x7fff_f000;

    private readonly GuestMemory _memory;
    private readonly QueueState _layout;
    private readonly IQueueFaults _faults;
    private readonly bool _eventIndex;
    private readonly bool _indirect;
    private readonly byte* _descriptors;
    private readonly byte* _avail;
    private readonly byte* _used;
    private readonly ushort _size;
    private readonly ushort _mask;

    private ushort _nextAvail;
    private ushort _seenAvail;
    private ushort _nextUsed;
    private ushort _publishedUsed;
    private bool _mustSignal;
    private bool _broken;
    private InflightQueue? _inflight;
    private bool _wasRepeated;
    private ushort _lastTaken;

    private SplitQueue(
        GuestMemory memory, QueueState layout, int index, ulong features, IQueueFaults faults, nint table, nint avail, nint used)
    {
        _memory = memory;
        _layout = layout;
        _faults = faults;
        Index = index;
        _eventIndex = (features & VirtioFeatures.EventIndex) != 0;
        _indirect = (features & VirtioFeatures.IndirectDescriptors) != 0;
        // SAFETY: TryCreate found the three areas wholly inside RAM, whose mappings live as long as the memory object.
        _descriptors = (byte*)table;
        _avail = (byte*)avail;
        _used = (byte*)used;
        _size = layout.Size;
        _mask = (ushort)(layout.Size - 1);
        _nextAvail = layout.NextAvail;
        _seenAvail = layout.NextAvail;
        _nextUsed = layout.NextUsed;
        _publishedUsed = layout.NextUsed;
        // Whether the driver was told of the last used elements before a save is not recorded: tell it once more.
        _mustSignal = true;
    }

    /// <summary>The queue's index in its device.</summary>
    public int Index { get; }

    /// <summary>Elements.</summary>
    public int Size => _size;

    /// <summary>The driver broke the rules; nothing more comes out until the device is reset.</summary>
    public bool IsBroken => _broken;

    private ref ushort AvailFlags => ref Unsafe.AsRef<ushort>(_avail);

    private ref ushort AvailIndex => ref Unsafe.AsRef<ushort>(_avail + 2);

    private ref ushort UsedEvent => ref Unsafe.AsRef<ushort>(_avail + SplitRing.HeaderBytes + (_size * SplitRing.AvailElementBytes));

    private ref ushort UsedFlags => ref Unsafe.AsRef<ushort>(_used);

    private ref ushort UsedIndex => ref Unsafe.AsRef<ushort>(_used + 2);

    private ref ushort AvailEvent => ref Unsafe.AsRef<ushort>(_used + SplitRing.HeaderBytes + (_size * SplitRing.UsedElementBytes));

    /// <summary>Checks a layout that the driver gave, and opens the queue there.</summary>
    /// <param name="features">Negotiated features: event index and indirect descriptors count here.</param>
    /// <param name="faults">Told when the queue breaks.</param>
    /// <param name="error">Why not, when false: a constant text.</param>
    public static bool TryCreate(
        GuestMemory memory,
        QueueState layout,
        int index,
        ulong features,
        IQueueFaults faults,
        [NotNullWhen(true)] out SplitQueue? queue,
        [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(layout);
        queue = null;
        int size = layout.Size;
        if (size > SplitRing.MaxQueueSize || !BitOperations.IsPow2(size))
        {
            error = "queue size is not a power of two up to 32768";
            return false;
        }

        if (layout.DescriptorTable % SplitRing.DescriptorAlignment != 0
            || layout.AvailRing % SplitRing.AvailAlignment != 0
            || layout.UsedRing % SplitRing.UsedAlignment != 0)
        {
            error = "a ring is not aligned";
            return false;
        }

        if (!memory.TryGetPointer(layout.DescriptorTable, SplitRing.DescriptorTableBytes(size), out nint table)
            || !memory.TryGetPointer(layout.AvailRing, SplitRing.AvailBytes(size), out nint avail)
            || !memory.TryGetPointer(layout.UsedRing, SplitRing.UsedBytes(size), out nint used))
        {
            error = "a ring lies outside guest memory";
            return false;
        }

        queue = new SplitQueue(memory, layout, index, features, faults, table, avail, used);
        error = null;
        return true;
    }

    /// <summary>
    /// Notes from now on what is in flight, for whoever takes this process's place, and takes first what was so under the one before it.
    /// Before the first buffer is taken; <see cref="QueueState.NextAvail"/> has those behind it already.
    /// </summary>
    internal void Track(InflightQueue inflight) => _inflight = inflight;

    /// <summary>Takes the next available buffer.</summary>
    /// <returns>False when there is none, or the queue is broken.</returns>
    public bool TryPop(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        if (_broken)
        {
            return false;
        }

        if (_inflight is { HasRepeats: true } before)
        {
            _wasRepeated = true;
            return Walk(before.Repeat(), chain);
        }

        if (_nextAvail == _seenAvail)
        {
            // Acquire: ring elements and descriptors are read only after the index that covers them (§2.7.13).
            ushort seen = Volatile.Read(ref AvailIndex);
            if ((ushort)(seen - _nextAvail) > _size)
            {
                return Break("the available index runs ahead of the queue");
            }

            _seenAvail = seen;
            if (_nextAvail == seen)
            {
                return false;
            }
        }

        // SAFETY: the index is masked into the ring.
        ushort head = Volatile.Read(ref *(ushort*)(_avail + SplitRing.HeaderBytes + ((_nextAvail & _mask) * SplitRing.AvailElementBytes)));
        if (!Walk(head, chain))
        {
            return false;
        }

        _nextAvail++;
        _wasRepeated = false;
        _lastTaken = head;
        _inflight?.Take(head);
        return true;
    }

    /// <summary>Looks at a buffer again that was taken before, by this object or the one before it, and not given back.</summary>
    /// <param name="head">Its <see cref="DescriptorChain.Head"/>.</param>
    /// <returns>False when the queue is broken, or breaks because there is no such buffer.</returns>
    public bool TryRepeat(ushort head, DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        return !_broken && Walk(head, chain);
    }

    /// <summary>Puts the buffer that <see cref="TryPop"/> gave last back, as if it had not been taken.</summary>
    public void UndoPop()
    {
        if (_wasRepeated)
        {
            _inflight!.UndoRepeat();
            return;
        }

        _nextAvail--;
        _inflight?.Undo(_lastTaken);
    }

    /// <summary>True when a buffer is available now.</summary>
    public bool HasAvailable => !_broken && (Volatile.Read(ref AvailIndex) != _nextAvail || _inflight is { HasRepeats: true });

    /// <summary>Gives a buffer back. The driver sees it after <see cref="Publish"/>.</summary>
    /// <param name="written">Bytes at the start of the writable part that the device wrote.</param>
    public void Complete(DescriptorChain chain, uint written)
    {
        ArgumentNullException.ThrowIfNull(chain);
        if (_broken)
        {
            return;
        }

        chain.MarkWritten(_memory, written);
        uint offset = SplitRing.HeaderBytes + ((uint)(_nextUsed & _mask) * SplitRing.UsedElementBytes);
        // SAFETY: the index is masked into the ring. §2.7.8: id, then len.
        *(uint*)(_used + offset) = chain.Head;
        *(uint*)(_used + offset + 4) = written;
        _memory.MarkDirty(_layout.UsedRing + offset, SplitRing.UsedElementBytes);
        _nextUsed++;
        _inflight?.Complete(chain.Head);
    }

    /// <summary>Records that the device wrote, or may have written, the whole writable part of a chain that it reports as failed.</summary>
    public void MarkAllWritten(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        chain.MarkWritten(_memory, chain.WritableBytes);
    }

    /// <summary>Shows the driver every buffer completed so far.</summary>
    /// <returns>True when the driver wants an interrupt for them.</returns>
    public bool Publish()
    {
        ushort old = _publishedUsed;
        if (_broken || old == _nextUsed)
        {
            return false;
        }

        // Release: the driver sees used elements and buffers before the index that covers them (§2.7.13.2).
        Volatile.Write(ref UsedIndex, _nextUsed);
        _memory.MarkDirty(_layout.UsedRing, SplitRing.HeaderBytes);
        _publishedUsed = _nextUsed;
        _inflight?.Publish(_nextUsed);

        // Full barrier: the index must be out before the driver's wish is read. The driver does the reverse, so one of the
        // two sees the other's write and no interrupt is lost (§2.7.7.2).
        Interlocked.MemoryBarrier();
        if (_mustSignal)
        {
            _mustSignal = false;
            return true;
        }

        return _eventIndex
            ? (ushort)(_nextUsed - Volatile.Read(ref UsedEvent) - 1) < (ushort)(_nextUsed - old)
            : (Volatile.Read(ref AvailFlags) & SplitRing.NoInterrupt) == 0;
    }

    /// <summary>Asks the driver not to notify while the device looks anyway.</summary>
    public void DisableNotifications()
    {
        if (!_eventIndex && !_broken)
        {
            // With the event index the driver stays silent by itself until avail_event is passed.
            Volatile.Write(ref UsedFlags, SplitRing.NoNotify);
            _memory.MarkDirty(_layout.UsedRing, SplitRing.HeaderBytes);
        }
    }

    /// <summary>Asks the driver to notify about the next buffer.</summary>
    /// <returns>True when one has come meanwhile: the device must look again, as no notification may follow.</returns>
    public bool EnableNotifications()
    {
        if (_broken)
        {
            return false;
        }

        if (_eventIndex)
        {
            Volatile.Write(ref AvailEvent, _nextAvail);
            _memory.MarkDirty(_layout.UsedRing + SplitRing.UsedBytes(_size) - SplitRing.EventBytes, SplitRing.EventBytes);
        }
        else
        {
            Volatile.Write(ref UsedFlags, 0);
            _memory.MarkDirty(_layout.UsedRing, SplitRing.HeaderBytes);
        }

        // Full barrier: the wish must be out before the index is read; the driver does the reverse, so one of the two sees
        // the other's write and no buffer is forgotten (§2.7.10.1).
        Interlocked.MemoryBarrier();
        return Volatile.Read(ref AvailIndex) != _nextAvail || _inflight is { HasRepeats: true };
    }

    /// <summary>The queue's place and progress. Completed buffers are published first.</summary>
    public QueueState Save() => _layout with { Enabled = true, NextAvail = _nextAvail, NextUsed = _nextUsed };

    /// <summary>Gives the queue up because a request in it makes no sense; the driver must reset the device.</summary>
    /// <param name="reason">A constant text.</param>
    /// <returns>False, always.</returns>
    public bool Break(string reason)
    {
        if (!_broken)
        {
            _broken = true;
            _faults.QueueBroken(Index, reason);
        }

        return false;
    }

    private bool Walk(ushort head, DescriptorChain chain)
    {
        chain.Begin(head);
        byte* table = _descriptors;
        uint entries = _size;
        // §2.7.5.3.1: no chain is longer than the queue. An indirect table is bounded by the chain's own capacity.
        uint budget = _size;
        bool inTable = false;
        uint index = head;
        ulong readable = 0;
        ulong writable = 0;
        while (true)
        {
            if (index >= entries)
            {
                return Break("a descriptor index lies outside its table");
            }

            if (budget-- == 0)
            {
                return Break("a descriptor chain is longer than the queue, or loops");
            }

            // SAFETY: the index was just checked. Each half is read once: the driver may change it at any time.
            ulong address = Volatile.Read(ref *(ulong*)(table + (index * SplitRing.DescriptorBytes)));
            ulong rest = Volatile.Read(ref *(ulong*)(table + (index * SplitRing.DescriptorBytes) + 8));
            uint length = (uint)rest;
            ushort flags = (ushort)(rest >> 32);
            ushort next = (ushort)(rest >> 48);

            if ((flags & SplitRing.Indirect) != 0)
            {
                if (!_indirect || inTable || (flags & SplitRing.Next) != 0)
                {
                    return Break("an indirect descriptor where none may be");
                }

                if (length == 0 || length % SplitRing.DescriptorBytes != 0
                    || !_memory.TryGetPointer(address, length, out nint indirect))
                {
                    return Break("an indirect table of bad size or place");
                }

                table = (byte*)indirect;
                entries = length / SplitRing.DescriptorBytes;
                budget = Math.Min(entries, (uint)chain.Capacity);
                index = 0;
                inTable = true;
                continue;
            }

            if (length != 0)
            {
                bool write = (flags & SplitRing.Write) != 0;
                if (!_memory.TryGetPointer(address, length, out nint host))
                {
                    return Break("a buffer lies outside guest memory");
                }

                ulong total = write ? writable += length : readable += length;
                if (total > MaxChainBytes)
                {
                    return Break("a chain of 2 GiB or more");
                }

                if (!chain.TryAdd(address, host, length, write))
                {
                    return Break("a chain with too many pieces, or with a readable piece behind a writable one");
                }
            }

            if ((flags & SplitRing.Next) == 0)
            {
                return true;
            }

            index = next;
        }
    }
}
