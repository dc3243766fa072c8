using System.Numerics;

namespace Cnvm.Virtio.Block;

/// <summary>One bit per 64 KiB of a disk. Any thread marks; one takes.</summary>
public sealed class DirtyBlocks
{
    /// <summary>log2 of the block size that is marked.</summary>
    public const int BlockShift = 16;

    /// <summary>Bytes that one bit stands for.</summary>
    public const ulong BlockBytes = 1UL << BlockShift;

    private const int WordBits = 64;
    private readonly ulong[] _words;

    /// <param name="size">Bytes of the disk; at most 2^52.</param>
    public DirtyBlocks(ulong size)
    {
        Size = size;
        _words = new ulong[checked((int)((BlockCount + WordBits - 1) / WordBits))];
    }

    /// <summary>Bytes of the disk.</summary>
    public ulong Size { get; }

    /// <summary>Bytes of the marked blocks.</summary>
    public ulong MarkedBytes
    {
        get
        {
            ulong blocks = 0;
            foreach (ref ulong word in _words.AsSpan())
            {
                blocks += (ulong)BitOperations.PopCount(Volatile.Read(ref word));
            }

            return Math.Min(blocks << BlockShift, Size);
        }
    }

    private ulong BlockCount => (Size + BlockBytes - 1) >> BlockShift;

    /// <summary>Marks every block that the range touches; what lies behind the end is ignored.</summary>
    public void Mark(ulong offset, ulong length)
    {
        if (length == 0 || offset >= Size)
        {
            return;
        }

        ulong first = offset >> BlockShift;
        ulong last = (offset + Math.Min(length, Size - offset) - 1) >> BlockShift;
        for (ulong word = first / WordBits; word <= last / WordBits; word++)
        {
            ulong mask = ulong.MaxValue;
            if (word == first / WordBits)
            {
                mask &= ulong.MaxValue << (int)(first % WordBits);
            }

            if (word == last / WordBits)
            {
                mask &= ulong.MaxValue >> (int)(WordBits - 1 - (last % WordBits));
            }

            Interlocked.Or(ref _words[word], mask);
        }
    }

    /// <summary>Adds what another has marked, and unmarks it there.</summary>
    /// <param name="other">Of a disk of the same size.</param>
    public void TakeFrom(DirtyBlocks other)
    {
        ArgumentNullException.ThrowIfNull(other);
        for (int i = 0; i < _words.Length; i++)
        {
            if (Volatile.Read(ref other._words[i]) != 0)
            {
                Interlocked.Or(ref _words[i], Interlocked.Exchange(ref other._words[i], 0));
            }
        }
    }

    /// <summary>Unmarks the first run of blocks at or after an offset; false if there is none.</summary>
    /// <param name="from">A multiple of the block size.</param>
    /// <param name="most">Longest run, in bytes; a multiple of the block size.</param>
    /// <param name="start">In bytes.</param>
    /// <param name="length">In bytes; shorter than its blocks at the disk's end.</param>
    public bool TryTake(ulong from, ulong most, out ulong start, out ulong length)
    {
        ulong block = from >> BlockShift;
        while (block < BlockCount && !TestAndClear(block))
        {
            // A word without marks is stepped over as a whole.
            block = Volatile.Read(ref _words[block / WordBits]) == 0 ? ((block / WordBits) + 1) * WordBits : block + 1;
        }

        start = block << BlockShift;
        length = 0;
        if (block >= BlockCount)
        {
            return false;
        }

        ulong end = block + 1;
        while (end < BlockCount && ((end - block) << BlockShift) < most && TestAndClear(end))
        {
            end++;
        }

        length = Math.Min(end << BlockShift, Size) - start;
        return true;
    }

    private bool TestAndClear(ulong block)
    {
        ref ulong word = ref _words[block / WordBits];
        ulong bit = 1UL << (int)(block % WordBits);
        return (Volatile.Read(ref word) & bit) != 0 && (Interlocked.And(ref word, ~bit) & bit) != 0;
    }
}
