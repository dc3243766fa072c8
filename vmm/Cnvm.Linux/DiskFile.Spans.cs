namespace Cnvm.Linux;

/// <content>Whole transfers of spans, for those who copy disks rather than serve them.</content>
public sealed unsafe partial class DiskFile
{
    /// <summary>Fills all of a buffer. Returns 0 or a negative error number; a file that ends before is EIO.</summary>
    public int ReadAll(ulong offset, Span<byte> buffer)
    {
        // SAFETY: each read is bounded by what is left of the span.
        fixed (byte* p = buffer)
        {
            return Transfer(p, buffer.Length, offset, isRead: true);
        }
    }

    /// <summary>Writes all of a buffer. Returns 0 or a negative error number.</summary>
    public int WriteAll(ulong offset, ReadOnlySpan<byte> buffer)
    {
        // SAFETY: each write is bounded by what is left of the span.
        fixed (byte* p = buffer)
        {
            return Transfer(p, buffer.Length, offset, isRead: false);
        }
    }

    /// <summary>
    /// The first stretch of data at or after <paramref name="offset"/> and before <paramref name="end"/>; false when all of it is a hole.
    /// What does not know holes, a block device for one, is all data.
    /// </summary>
    /// <exception cref="LinuxException">The file cannot be searched.</exception>
    public bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length)
    {
        if (IsBlockDevice)
        {
            start = offset;
            length = end - offset;
            return length > 0;
        }

        bool found = SparseFile.TryFindData(_fd.Value, (long)offset, (long)end, out long first, out long bytes);
        start = (ulong)first;
        length = (ulong)bytes;
        return found;
    }

    private int Transfer(byte* p, int length, ulong offset, bool isRead)
    {
        while (length > 0)
        {
            IoVec v = new() { Base = (nint)p, Length = (nuint)length };
            nint n = isRead ? Read(&v, 1, offset) : Write(&v, 1, offset);
            if (n == -Errno.EINTR)
            {
                continue;
            }

            if (n <= 0)
            {
                return n == 0 ? -Errno.EIO : (int)n;
            }

            p += n;
            offset += (ulong)n;
            length -= (int)n;
        }

        return 0;
    }
}
