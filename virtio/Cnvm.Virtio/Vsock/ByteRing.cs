using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Vsock;

/// <summary>Bytes on their way to a socket that took less than it was given. Takes memory only while it holds some. One thread.</summary>
internal sealed unsafe class ByteRing(uint capacity) : IDisposable
{
    private byte* _bytes;
    private uint _start;

    /// <summary>Bytes in it.</summary>
    public uint Count { get; private set; }

    /// <summary>Puts the rest of a chain behind what is there.</summary>
    /// <param name="bytes">How many; no more than fit and the reader has.</param>
    public void Append(ref ChainReader reader, uint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, capacity - Count);
        if (_bytes is null)
        {
            // SAFETY: freed when the ring is empty again, or in Dispose.
            _bytes = (byte*)NativeMemory.Alloc(capacity);
            _start = 0;
        }

        while (bytes > 0)
        {
            uint end = (_start + Count) % capacity;
            uint part = Math.Min(bytes, capacity - end);
            // SAFETY: end is below the capacity, and the part ends at it at the latest.
            int got = reader.Read(new Span<byte>(_bytes + end, (int)part));
            if (got == 0)
            {
                return;
            }

            Count += (uint)got;
            bytes -= (uint)got;
        }
    }

    /// <summary>Describes what is there, first to last.</summary>
    /// <param name="into">Room for two vectors.</param>
    /// <returns>Vectors written.</returns>
    public int Describe(IoVec* into)
    {
        if (Count == 0)
        {
            return 0;
        }

        uint first = Math.Min(Count, capacity - _start);
        // SAFETY: the caller gave room for two; both lie within the ring's memory.
        into[0] = new IoVec { Base = (nint)(_bytes + _start), Length = first };
        if (first == Count)
        {
            return 1;
        }

        into[1] = new IoVec { Base = (nint)_bytes, Length = Count - first };
        return 2;
    }

    /// <summary>Forgets bytes at the start.</summary>
    public void Remove(uint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Count);
        Count -= bytes;
        _start = (_start + bytes) % capacity;
        if (Count == 0)
        {
            Dispose();
        }
    }

    /// <summary>Forgets everything and gives the memory back; the ring can be used again.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_bytes);
        _bytes = null;
        Count = 0;
    }
}
