using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Linux;

/// <summary>Copies files (copy_file_range(2)); file systems that can let the two share their blocks do so.</summary>
public static unsafe partial class FileCopy
{
    private const int BufferBytes = 256 << 10;

    private const long MostAtOnce = 1L << 30;

    /// <summary>Copies a regular file's data to the same places of an empty one, which gets its length and its holes.</summary>
    /// <param name="from">Open for reading, without O_DIRECT.</param>
    /// <param name="to">Open for writing.</param>
    /// <exception cref="IOException">One of the two fails, or there is no space left.</exception>
    public static void CopyData(SafeFileHandle from, SafeFileHandle to)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        byte[]? buffer = null;
        long end = 0;
        while (SparseFile.TryFindData(from, end, long.MaxValue, out long start, out long length))
        {
            end = start + length;
            for (long at = start; at < end;)
            {
                long copied = buffer is null ? CopyRange(from, to, at, end - at) : -Errno.EXDEV;

                // Other file systems, and those that cannot: by hand from here on.
                if (copied is -Errno.EXDEV or -Errno.EINVAL or -Errno.EOPNOTSUPP or -Errno.ENOSYS)
                {
                    buffer ??= new byte[BufferBytes];
                    copied = RandomAccess.Read(from, buffer.AsSpan(0, (int)Math.Min(end - at, BufferBytes)), at);
                    RandomAccess.Write(to, buffer.AsSpan(0, (int)copied), at);
                }

                if (copied == -Errno.EINTR)
                {
                    continue;
                }

                if (copied < 0)
                {
                    throw new LinuxException("copy", (int)-copied);
                }

                // The file has become shorter: there is no more.
                at = copied == 0 ? end : at + copied;
            }
        }

        // A hole at the end needs the length to be said.
        RandomAccess.SetLength(to, RandomAccess.GetLength(from));
    }

    private static long CopyRange(SafeFileHandle from, SafeFileHandle to, long at, long length)
    {
        long source = at;
        long target = at;
        // SAFETY: the kernel reads and advances two locals.
        nint n = copy_file_range(from, &source, to, &target, (nuint)Math.Min(length, MostAtOnce), 0);
        return n < 0 ? -LinuxError.Last : n;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint copy_file_range(SafeFileHandle fdIn, long* offsetIn, SafeFileHandle fdOut, long* offsetOut, nuint length, uint flags);
}
