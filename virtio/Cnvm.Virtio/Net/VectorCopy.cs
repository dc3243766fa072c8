using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>Copies between one piece of memory and several; the callers vouch for all of them.</summary>
internal static unsafe class VectorCopy
{
    /// <summary>Bytes of all vectors.</summary>
    public static ulong Total(IoVec* vectors, int count)
    {
        ulong bytes = 0;
        for (int i = 0; i < count; i++)
        {
            bytes += vectors[i].Length;
        }

        return bytes;
    }

    /// <summary>Copies into the vectors until they are full.</summary>
    public static void Scatter(ReadOnlySpan<byte> from, IoVec* vectors, int count)
    {
        for (int i = 0; i < count && !from.IsEmpty; i++)
        {
            // SAFETY: the caller vouches for the vectors, and the part is no longer than the one it goes to.
            int part = (int)Math.Min((nuint)from.Length, vectors[i].Length);
            from[..part].CopyTo(new Span<byte>((void*)vectors[i].Base, part));
            from = from[part..];
        }
    }

    /// <summary>Copies from the vectors, behind the first <paramref name="skip"/> bytes, until <paramref name="to"/> is full.</summary>
    public static void Gather(IoVec* vectors, int count, nuint skip, Span<byte> to)
    {
        for (int i = 0; i < count && !to.IsEmpty; i++)
        {
            if (skip >= vectors[i].Length)
            {
                skip -= vectors[i].Length;
                continue;
            }

            // SAFETY: as above; skip is less than the vector's length.
            int part = (int)Math.Min((nuint)to.Length, vectors[i].Length - skip);
            new ReadOnlySpan<byte>((byte*)vectors[i].Base + skip, part).CopyTo(to);
            to = to[part..];
            skip = 0;
        }
    }
}
