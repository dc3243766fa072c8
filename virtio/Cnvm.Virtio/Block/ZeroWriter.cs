using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Writes zeroes the long way, for file systems that cannot zero a range.</summary>
public static unsafe class ZeroWriter
{
    private const nuint ChunkBytes = 1024 * 1024;
    private const nuint ChunkAlignment = 4096;

    /// <summary>Returns 0 or a negative error number.</summary>
    public static int Write(DiskFile file, ulong offset, ulong length)
    {
        nuint size = (nuint)Math.Min(length, ChunkBytes);
        void* zeroes = NativeMemory.AlignedAlloc(size, ChunkAlignment);
        try
        {
            // SAFETY: the buffer has this size, and no write is longer.
            NativeMemory.Clear(zeroes, size);
            while (length > 0)
            {
                IoVec v = new() { Base = (nint)zeroes, Length = (nuint)Math.Min(length, size) };
                nint n = file.Write(&v, 1, offset);
                if (n == -Errno.EINTR)
                {
                    continue;
                }

                if (n <= 0)
                {
                    return n == 0 ? -Errno.EIO : (int)n;
                }

                offset += (ulong)n;
                length -= (ulong)n;
            }

            return 0;
        }
        finally
        {
            NativeMemory.AlignedFree(zeroes);
        }
    }
}
