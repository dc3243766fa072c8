using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Whole transfers of spans from and to image files. Results are 0 or negative error numbers.</summary>
internal static unsafe class ImageFileSpans
{
    /// <summary>Fills all of a buffer; what lies behind the file's end is zero.</summary>
    public static int ReadAll(this IImageFile file, ulong offset, Span<byte> buffer)
    {
        // SAFETY: the vector is the span.
        fixed (byte* p = buffer)
        {
            IoVec v = new() { Base = (nint)p, Length = (nuint)buffer.Length };
            return new VectorCursor(&v, 1).ReadFrom(file, offset, (ulong)buffer.Length);
        }
    }

    /// <summary>Writes all of a buffer.</summary>
    public static int WriteAll(this IImageFile file, ulong offset, ReadOnlySpan<byte> buffer)
    {
        // SAFETY: the vector is the span.
        fixed (byte* p = buffer)
        {
            IoVec v = new() { Base = (nint)p, Length = (nuint)buffer.Length };
            return new VectorCursor(&v, 1).WriteTo(file, offset, (ulong)buffer.Length);
        }
    }
}
