using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Queues;

/// <summary>Reads the readable bytes of a chain in order, wherever the driver cut them.</summary>
public ref struct ChainReader
{
    private readonly ReadOnlySpan<IoVec> _vectors;
    private int _index;
    private nuint _offset;

    public ChainReader(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        _vectors = chain.Readable;
        Remaining = chain.ReadableBytes;
    }

    /// <summary>Bytes not read yet.</summary>
    public uint Remaining { get; private set; }

    /// <summary>Copies bytes out until <paramref name="destination"/> is full or the chain ends; returns how many.</summary>
    public int Read(scoped Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length && _index < _vectors.Length)
        {
            IoVec v = _vectors[_index];
            nuint part = Math.Min(v.Length - _offset, (nuint)(destination.Length - done));
            unsafe
            {
                // SAFETY: the vector lies in guest RAM, checked when the chain was taken; the part lies in the vector.
                new ReadOnlySpan<byte>((byte*)v.Base + _offset, (int)part).CopyTo(destination[done..]);
            }

            Advance(v, part);
            done += (int)part;
        }

        return done;
    }

    /// <summary>Copies a little-endian structure out; false, reading nothing, when the chain is too short for it.</summary>
    public bool TryRead<T>(out T value)
        where T : unmanaged
    {
        value = default;
        if (Remaining < Unsafe.SizeOf<T>())
        {
            return false;
        }

        Read(MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return true;
    }

    /// <summary>Passes bytes without reading them.</summary>
    public void Skip(uint bytes)
    {
        nuint left = Math.Min(bytes, Remaining);
        while (left > 0)
        {
            IoVec v = _vectors[_index];
            nuint part = Math.Min(left, v.Length - _offset);
            Advance(v, part);
            left -= part;
        }
    }

    private void Advance(in IoVec v, nuint part)
    {
        _offset += part;
        Remaining -= (uint)part;
        if (_offset == v.Length)
        {
            _index++;
            _offset = 0;
        }
    }
}
