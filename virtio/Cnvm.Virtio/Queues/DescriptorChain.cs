using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Virtio.Queues;

/// <summary>
/// One buffer that the driver made available: pieces that the device reads, then pieces that it writes, as host vectors that
/// lie wholly in guest RAM. Reused from request to request; owned by one queue worker. The bytes may change under the
/// reader's eyes, so whatever is checked is copied first.
/// </summary>
public sealed unsafe class DescriptorChain : IDisposable
{
    private IoVec* _vectors;
    private ulong* _addresses;

    /// <param name="capacity">Most pieces that a chain may have, 1 to 1024; a longer one breaks its queue.</param>
    public DescriptorChain(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, IoVec.MaxCount);
        Capacity = capacity;
        // SAFETY: freed in Dispose; untouched pages cost no memory.
        _vectors = (IoVec*)NativeMemory.Alloc((nuint)capacity, (nuint)sizeof(IoVec));
        _addresses = (ulong*)NativeMemory.Alloc((nuint)capacity, sizeof(ulong));
    }

    public int Capacity { get; }

    /// <summary>Index of the first descriptor: the buffer's name in the used ring.</summary>
    public ushort Head { get; private set; }

    /// <summary>Pieces that the device reads.</summary>
    public int ReadableCount { get; private set; }

    /// <summary>Pieces that the device writes; they follow the readable ones.</summary>
    public int WritableCount { get; private set; }

    /// <summary>Bytes that the device reads.</summary>
    public uint ReadableBytes { get; private set; }

    /// <summary>Bytes that the device may write.</summary>
    public uint WritableBytes { get; private set; }

    /// <summary>Vectors of the readable pieces, for system calls.</summary>
    public IoVec* ReadableVectors => _vectors;

    /// <summary>Vectors of the writable pieces, for system calls.</summary>
    public IoVec* WritableVectors => _vectors + ReadableCount;

    public ReadOnlySpan<IoVec> Readable => new(_vectors, ReadableCount);

    public ReadOnlySpan<IoVec> Writable => new(_vectors + ReadableCount, WritableCount);

    /// <summary>Room for a chain of a queue: its size, within sensible bounds.</summary>
    public static int CapacityFor(int queueSize) => Math.Clamp(queueSize, 64, IoVec.MaxCount);

    /// <summary>Guest-physical address of a writable piece.</summary>
    public ulong WritableAddress(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)WritableCount);
        // SAFETY: the index was just checked.
        return _addresses[ReadableCount + index];
    }

    /// <summary>Vectors for a part of the readable bytes.</summary>
    /// <param name="into">At least <see cref="ReadableCount"/> elements.</param>
    /// <returns>Vectors written; they cover fewer bytes than asked only when the chain is shorter.</returns>
    public int SliceReadable(uint offset, uint length, IoVec* into) => Slice(Readable, offset, length, into);

    /// <summary>Vectors for a part of the writable bytes.</summary>
    /// <param name="into">At least <see cref="WritableCount"/> elements.</param>
    /// <inheritdoc cref="SliceReadable"/>
    public int SliceWritable(uint offset, uint length, IoVec* into) => Slice(Writable, offset, length, into);

    public void Dispose()
    {
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_addresses);
        _vectors = null;
        _addresses = null;
    }

    internal void Begin(ushort head)
    {
        Head = head;
        ReadableCount = 0;
        WritableCount = 0;
        ReadableBytes = 0;
        WritableBytes = 0;
    }

    /// <summary>Adds a piece. False: it has no room, or comes after a writable one.</summary>
    internal bool TryAdd(ulong address, nint host, uint length, bool writable)
    {
        int count = ReadableCount + WritableCount;
        if (count == Capacity || (!writable && WritableCount > 0))
        {
            return false;
        }

        // SAFETY: count is below the capacity of both arrays.
        _vectors[count] = new IoVec { Base = host, Length = length };
        _addresses[count] = address;
        if (writable)
        {
            WritableCount++;
            WritableBytes += length;
        }
        else
        {
            ReadableCount++;
            ReadableBytes += length;
        }

        return true;
    }

    /// <summary>Records the first <paramref name="bytes"/> writable bytes as written by the device.</summary>
    internal void MarkWritten(GuestMemory memory, uint bytes)
    {
        for (int i = ReadableCount; bytes > 0 && i < ReadableCount + WritableCount; i++)
        {
            // SAFETY: i is below the number of pieces.
            uint part = Math.Min(bytes, (uint)_vectors[i].Length);
            memory.MarkDirty(_addresses[i], part);
            bytes -= part;
        }
    }

    /// <summary>Vectors for a part of others' bytes.</summary>
    /// <param name="into">At least as many elements as <paramref name="from"/>.</param>
    internal static int Slice(ReadOnlySpan<IoVec> from, uint offset, uint length, IoVec* into)
    {
        int count = 0;
        foreach (ref readonly IoVec v in from)
        {
            if (length == 0)
            {
                break;
            }

            uint size = (uint)v.Length;
            if (offset >= size)
            {
                offset -= size;
                continue;
            }

            uint part = Math.Min(size - offset, length);
            // SAFETY: at most one vector per source vector, and the caller gave room for as many.
            into[count++] = new IoVec { Base = v.Base + (nint)offset, Length = part };
            length -= part;
            offset = 0;
        }

        return count;
    }
}
