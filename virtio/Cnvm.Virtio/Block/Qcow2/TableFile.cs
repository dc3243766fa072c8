using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>Tables that are held in memory whole: big-endian in the file, native here.</summary>
internal static unsafe class TableFile
{
    private const int Batch = 512;

    /// <summary>Returns 0 or a negative error number.</summary>
    public static int Read(IImageFile file, ulong offset, ulong[] table)
    {
        fixed (ulong* p = table)
        {
            IoVec v = new() { Base = (nint)p, Length = (nuint)table.Length * sizeof(ulong) };
            int result = new VectorCursor(&v, 1).ReadFrom(file, offset, (ulong)table.Length * sizeof(ulong));
            if (result == 0)
            {
                BinaryPrimitives.ReverseEndianness(table, table);
            }

            return result;
        }
    }

    /// <summary>Writes the entries from the first to the last. Returns 0 or a negative error number.</summary>
    public static int Write(IImageFile file, ulong offset, ulong[] table, int first, int last)
    {
        ulong* batch = stackalloc ulong[Batch];
        for (int i = first; i <= last; i += Batch)
        {
            int count = Math.Min(Batch, last - i + 1);
            BinaryPrimitives.ReverseEndianness(table.AsSpan(i, count), new Span<ulong>(batch, Batch));
            IoVec v = new() { Base = (nint)batch, Length = (nuint)count * sizeof(ulong) };
            int result = new VectorCursor(&v, 1).WriteTo(file, offset + ((ulong)i * sizeof(ulong)), (ulong)count * sizeof(ulong));
            if (result < 0)
            {
                return result;
            }
        }

        return 0;
    }
}
