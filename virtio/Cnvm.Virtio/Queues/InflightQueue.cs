using System.Runtime.CompilerServices;

namespace Cnvm.Virtio.Queues;

/// <summary>
/// What of one queue is in flight, noted in memory that outlives this process, so that the one after it does again what this one did not
/// finish ("Inflight I/O tracking" of the vhost-user protocol, split virtqueues). One thread at a time.
/// </summary>
/// <remarks>The peer has the memory as well and may write anything there: what is read back is a flag, or is checked against the queue's size.</remarks>
internal sealed unsafe class InflightQueue
{
    /// <summary>A queue's part of the memory begins at a multiple of this.</summary>
    public const int Alignment = 64;

    private const ushort Version = 1;

    // Header: features (8 bytes), version, elements, head of the last batch, used index.
    private const int HeaderBytes = 16;
    private const int VersionOffset = 8;
    private const int SizeOffset = 10;
    private const int BatchOffset = 12;
    private const int UsedOffset = 14;

    // Of each descriptor: in flight (1 byte), padding, next of the batch, order in which it was taken.
    private const int ElementBytes = 16;
    private const int NextOffset = 6;
    private const int OrderOffset = 8;

    private readonly byte* _at;
    private readonly ushort _size;
    private readonly ushort[] _batch;
    private readonly ushort[] _repeats;
    private int _batched;
    private int _repeated;
    private ulong _order;

    /// <summary>Opens a queue's part of the memory, and puts right what an end between two steps has left there.</summary>
    /// <param name="at"><see cref="BytesFor"/> bytes that stay mapped as long as this object is used, aligned to <see cref="Alignment"/>.</param>
    /// <param name="size">Elements of the queue.</param>
    /// <param name="used">The used ring's index.</param>
    public InflightQueue(nint at, ushort size, ushort used)
    {
        // SAFETY: the caller answers for the bytes; every access below is at an offset within them.
        _at = (byte*)at;
        _size = size;
        _batch = new ushort[size];
        if (Volatile.Read(ref Field(VersionOffset)) != Version || Volatile.Read(ref Field(SizeOffset)) != size)
        {
            Begin(used);
            _repeats = [];
            return;
        }

        FinishBatch(used);
        _repeats = FindRepeats();
    }

    /// <summary>Buffers in flight under the process before this one, which are to be taken again.</summary>
    public int Repeats => _repeats.Length - _repeated;

    /// <summary>There are such.</summary>
    public bool HasRepeats => _repeated < _repeats.Length;

    /// <summary>Bytes of a queue's part.</summary>
    public static ulong BytesFor(ushort size) => ((HeaderBytes + ((ulong)size * ElementBytes)) + Alignment - 1) & ~(ulong)(Alignment - 1);

    /// <summary>Takes the next of them, in the order in which they were taken at first.</summary>
    public ushort Repeat() => _repeats[_repeated++];

    /// <summary>Takes <see cref="Repeat"/> back.</summary>
    public void UndoRepeat() => _repeated--;

    /// <summary>A buffer is taken.</summary>
    public void Take(ushort head)
    {
        byte* element = Element(head);
        *(ulong*)(element + OrderOffset) = ++_order;
        Volatile.Write(ref *element, 1);
    }

    /// <summary>Takes <see cref="Take"/> back.</summary>
    public void Undo(ushort head) => Volatile.Write(ref *Element(head), 0);

    /// <summary>A buffer is done; the driver does not know yet.</summary>
    public void Complete(ushort head)
    {
        *(ushort*)(Element(head) + NextOffset) = Field(BatchOffset);
        Volatile.Write(ref Field(BatchOffset), head);
        if (_batched < _batch.Length)
        {
            _batch[_batched++] = head;
        }
    }

    /// <summary>The driver sees all that is done.</summary>
    public void Publish(ushort used)
    {
        for (int i = 0; i < _batched; i++)
        {
            Volatile.Write(ref *Element(_batch[i]), 0);
        }

        _batched = 0;
        Volatile.Write(ref Field(UsedOffset), used);
    }

    private ref ushort Field(int offset) => ref Unsafe.AsRef<ushort>(_at + offset);

    // SAFETY of what uses it: heads are below the queue's size, which the queue has checked, or this class.
    private byte* Element(ushort head) => _at + HeaderBytes + (head * ElementBytes);

    private void Begin(ushort used)
    {
        // SAFETY: the whole part, as its size was given.
        new Span<byte>(_at, (int)BytesFor(_size)).Clear();
        Field(SizeOffset) = _size;
        Field(UsedOffset) = used;
        Volatile.Write(ref Field(VersionOffset), Version);
    }

    /// <summary>The end came after the used index was written and before all of the batch was said to be done.</summary>
    private void FinishBatch(ushort used)
    {
        ushort count = (ushort)(used - Field(UsedOffset));
        ushort head = Volatile.Read(ref Field(BatchOffset));

        // More than that is the index of a ring that a driver has begun anew since.
        for (int i = 0; count <= _size && i < count && head < _size; i++)
        {
            Volatile.Write(ref *Element(head), 0);
            head = *(ushort*)(Element(head) + NextOffset);
        }

        Volatile.Write(ref Field(UsedOffset), used);
    }

    private ushort[] FindRepeats()
    {
        List<(ulong Order, ushort Head)> found = [];
        for (int head = 0; head < _size; head++)
        {
            byte* element = Element((ushort)head);
            if (Volatile.Read(ref *element) != 0)
            {
                ulong order = *(ulong*)(element + OrderOffset);
                found.Add((order, (ushort)head));
                _order = Math.Max(_order, order);
            }
        }

        found.Sort(static (a, b) => a.Order.CompareTo(b.Order));
        return found.ConvertAll(static f => f.Head).ToArray();
    }
}
