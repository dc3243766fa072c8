using Cnvm.Linux;

namespace Cnvm.Virtio.Queues;

/// <summary>Fills the writable bytes of a chain in order, wherever the driver cut them.</summary>
public ref struct ChainWriter
{
    private readonly ReadOnlySpan<IoVec> _vectors;
    private int _index;
    private nuint _offset;

    public ChainWriter(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        _vectors = chain.Writable;
        Remaining = chain.WritableBytes;
    }

    /// <summary>Bytes of room left.</summary>
    public uint Remaining { get; private set; }

    /// <summary>Bytes passed so far.</summary>
    public uint Written { get; private set; }

    /// <summary>The next contiguous room, to be filled in place and then passed with <see cref="Advance"/>; empty at the end.</summary>
    public readonly Span<byte> Room
    {
        get
        {
            if (_index >= _vectors.Length)
            {
                return default;
            }

            IoVec v = _vectors[_index];
            unsafe
            {
                // SAFETY: the vector lies in guest RAM, checked when the chain was taken.
                return new Span<byte>((byte*)v.Base + _offset, (int)(v.Length - _offset));
            }
        }
    }

    /// <summary>Copies bytes in until the chain is full; returns how many.</summary>
    public int Write(scoped ReadOnlySpan<byte> source)
    {
        int done = 0;
        while (done < source.Length)
        {
            Span<byte> room = Room;
            if (room.IsEmpty)
            {
                break;
            }

            int part = Math.Min(room.Length, source.Length - done);
            source.Slice(done, part).CopyTo(room);
            Advance(part);
            done += part;
        }

        return done;
    }

    /// <summary>Passes bytes that were filled in place, or that stay as they are.</summary>
    public void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        nuint left = Math.Min((nuint)bytes, Remaining);
        Written += (uint)left;
        Remaining -= (uint)left;
        while (left > 0)
        {
            nuint part = Math.Min(left, _vectors[_index].Length - _offset);
            left -= part;
            _offset += part;
            if (_offset == _vectors[_index].Length)
            {
                _index++;
                _offset = 0;
            }
        }
    }
}
