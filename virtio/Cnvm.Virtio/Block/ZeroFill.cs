using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Writes zeroes into image files.</summary>
internal static unsafe class ZeroFill
{
    private const uint ChunkBytes = 64 * 1024;

    // Never written; made when it is first needed and kept, as several threads may use it.
    private static readonly Lazy<nint> Zeroes = new(static () => (nint)NativeMemory.AllocZeroed(ChunkBytes));

    /// <summary>Returns 0 or a negative error number.</summary>
    public static int Write(IImageFile file, ulong offset, ulong length)
    {
        while (length > 0)
        {
            ulong part = Math.Min(length, ChunkBytes);
            IoVec v = Vector(part);
            int result = new VectorCursor(&v, 1).WriteTo(file, offset, part);
            if (result < 0)
            {
                return result;
            }

            offset += part;
            length -= part;
        }

        return 0;
    }

    /// <summary>Memory that is zero, for writing from it.</summary>
    /// <param name="most">Bytes wanted; the vector may have fewer.</param>
    public static IoVec Vector(ulong most) => new() { Base = Zeroes.Value, Length = (nuint)Math.Min(most, ChunkBytes) };
}
